"""POST /v1/chat/completions."""

import time
from typing import Any

from starlette.types import Receive, Scope, Send

from gateway.answer import Answer
from gateway.call import Call
from gateway.chat import Gateway
from gateway.chat_types import Waiting
from gateway.collect import collect
from gateway.connection import while_connected
from gateway.errors import GatewayError
from gateway.json_body import parse_body, read_json_body
from openai_facade.chat_wire import KEEP_ALIVE, ChunkWriter, completion_json, error_event, to_json
from openai_facade.errors import error_body
from openai_facade.schema import ChatBody

SSE_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    # Asks reverse proxies not to collect the stream.
    (b"x-accel-buffering", b"no"),
]


class ChatCompletions:
    """The endpoint, as an ASGI app behind the guard and the payload cap."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises: GatewayError, before the first byte; later ones are rendered in the stream."""
        call = Call.from_scope(scope, surface="openai", endpoint="chat.completions")
        async with self._gateway.open(call) as account:
            body = parse_body(ChatBody, await read_json_body(scope, receive))
            request = body.to_request()
            names: dict[str, Any] = {
                "id_": f"chatcmpl-{call.request_id.removeprefix('req_')}",
                "created": int(time.time()),
                "model": body.model,
            }
            async with while_connected(receive), self._gateway.chat(account, request) as answer:
                if request.stream:
                    await _stream(answer, ChunkWriter(**names, include_usage=body.include_usage), send)
                else:
                    result = await collect(answer)
                    await _send_json(send, completion_json(result, **names))


async def _stream(answer: Answer, writer: ChunkWriter, send: Send) -> None:
    """Send pieces as they come. The status goes out with the first of them, so that an early failure keeps its own."""
    started = False

    async def write(data: bytes, *, more: bool = True) -> None:
        nonlocal started
        if not started:
            started = True
            await send({"type": "http.response.start", "status": 200, "headers": SSE_HEADERS})
        await send({"type": "http.response.body", "body": data, "more_body": more})

    try:
        async for event in answer:
            await write(KEEP_ALIVE if isinstance(event, Waiting) else writer.pieces(event.choices))
    except GatewayError as error:
        if not started:
            raise
        await write(error_event(error_body(error)), more=False)
        return
    if answer.ending is not None:
        await write(writer.ending(answer.ending), more=False)


async def _send_json(send: Send, body: dict[str, Any]) -> None:
    data = to_json(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": data})
