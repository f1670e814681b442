"""The outermost layer: gives each request an id, which every answer and every log line carries."""

from uuid import uuid4

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bootstrap import logs
from gateway.call import ARRIVED, REQUEST_ID


class RequestContext:
    """ASGI middleware. The id is ours: one that a client sends is not taken over."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with `x-request-id` on whatever comes back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = f"req_{uuid4().hex}"
        scope[REQUEST_ID] = request_id
        scope[ARRIVED] = anyio.current_time()

        async def with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                message = {**message, "headers": headers}
            await send(message)

        token = logs.REQUEST_ID.set(request_id)
        try:
            await self._app(scope, receive, with_id)
        finally:
            logs.REQUEST_ID.reset(token)
