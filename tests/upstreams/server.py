"""A provider on loopback: it records what it was asked and plays the next scenario in the address's wire format."""

import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import anyio
import anyio.lowlevel
import uvicorn

from tests.upstreams.scenario import Scenario
from tests.upstreams.wires import AnthropicWire, BedrockWire, OpenAIWire, Wire

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(kw_only=True)
class Seen:
    """One request as it arrived. `left` is set when the client closed the connection before the end."""

    path: str
    query: str
    headers: dict[str, str]
    body: dict[str, Any]
    streamed: bool
    pieces_sent: int = 0
    left: threading.Event = field(default_factory=threading.Event)
    left_at: float | None = None
    holding: threading.Event = field(default_factory=threading.Event)


class Upstream:
    """Runs in a thread of its own: `with Upstream() as upstream: upstream.plays(Scenario(...))`.

    Args:
        keep_alive: seconds after which it closes a connection that nobody uses.
    """

    def __init__(self, *, keep_alive: int = 5) -> None:
        self.seen: list[Seen] = []
        self._arrived = threading.Event()
        self._queue: list[Scenario] = []
        self._default = Scenario()
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._app,
                host="127.0.0.1",
                port=0,
                log_level="critical",
                lifespan="off",
                interface="asgi3",
                timeout_keep_alive=keep_alive,
            )
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started and time.monotonic() < deadline:
            self._thread.join(0.01)
        assert self._server.started
        return self

    def __exit__(self, *_: object) -> None:
        self._server.force_exit = True
        self._server.should_exit = True
        self._thread.join(5)

    @property
    def url(self) -> str:
        """Root address, without a path."""
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    @property
    def last(self) -> Seen:
        """The newest request."""
        return self.seen[-1]

    def awaited(self) -> Seen:
        """The first request since the reset, once it holds back its answer."""
        assert self._arrived.wait(15), "no request came"
        assert self.last.holding.wait(5)
        return self.last

    def plays(self, *scenarios: Scenario) -> None:
        """Play these for the next requests, the last of them for all that follow."""
        *queue, self._default = scenarios
        self._queue = queue

    def reset(self) -> None:
        """Forget everything, and answer well again."""
        self.seen.clear()
        self._arrived.clear()
        self.plays(Scenario())

    def _next(self) -> Scenario:
        return self._queue.pop(0) if self._queue else self._default

    async def _app(self, scope: Message, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        path = scope["path"]
        parsed = json.loads(body) if body else {}
        seen = Seen(
            path=path,
            query=scope["query_string"].decode(),
            headers={name.decode(): value.decode() for name, value in scope["headers"]},
            body=parsed,
            streamed=bool(parsed.get("stream")) or path.endswith("/converse-stream"),
        )
        scenario = self._next()
        self.seen.append(seen)
        self._arrived.set()
        async with _watching(seen, receive):
            await self._answer(_wire(path), scenario, seen, send)

    async def _answer(self, wire: Wire, scenario: Scenario, seen: Seen, send: Send) -> None:
        await anyio.sleep(scenario.first_pause)
        if scenario.raw is not None:
            await _respond(send, scenario.status, scenario.raw, scenario.raw_type, scenario)
        elif scenario.status != 200:
            await _respond(
                send, scenario.status, json.dumps(wire.error(scenario)).encode(), "application/json", scenario
            )
        elif seen.streamed:
            await self._stream(wire, scenario, seen, send)
        else:
            if scenario.hold_after is not None:
                seen.holding.set()
                await anyio.sleep_forever()
            await _respond(send, 200, json.dumps(wire.plain(scenario)).encode(), "application/json", scenario)

    async def _stream(self, wire: Wire, scenario: Scenario, seen: Seen, send: Send) -> None:
        await send(_start(200, wire.content_type, scenario))
        for part in wire.head(scenario):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        for count, piece in enumerate(wire.pieces(scenario)):
            if count == scenario.die_after:
                raise ConnectionAbortedError
            if count == scenario.end_after:
                await send({"type": "http.response.body", "body": b""})
                return
            if count == scenario.hold_after:
                seen.holding.set()
                await anyio.sleep_forever()
            if scenario.pause:
                await anyio.sleep(scenario.pause)
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            # uvicorn drops what is sent to a client that left, without a pause in which one could notice.
            await anyio.lowlevel.checkpoint()
            seen.pieces_sent += 1
        for part in wire.tail(scenario):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _wire(path: str) -> Wire:
    if path.startswith("/model/"):
        return BedrockWire()
    return AnthropicWire() if path.endswith("/messages") else OpenAIWire()


def _start(status: int, content_type: str, scenario: Scenario) -> Message:
    headers = [(b"content-type", content_type.encode())]
    headers += [(name.encode(), value.encode()) for name, value in scenario.headers.items()]
    return {"type": "http.response.start", "status": status, "headers": headers}


async def _respond(send: Send, status: int, body: bytes, content_type: str, scenario: Scenario) -> None:
    await send(_start(status, content_type, scenario))
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def _watching(seen: Seen, receive: Receive) -> AsyncIterator[None]:
    """Note when the client leaves, and stop answering then."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        seen.left_at = time.monotonic()
        seen.left.set()
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        yield
        tasks.cancel_scope.cancel()
