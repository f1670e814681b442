"""The two ways to answer an HTTP event. Both take ASGI messages, and can still be turned into a failure."""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NoReturn, Protocol, cast

from mangum.protocols import HTTPCycle

from lambda_runtime.api import RuntimeApi, chunk, last_chunk
from lambda_runtime.events import Cookies, HttpRequest
from lambda_runtime.function import ASGIApp, Headers, Message, Receive, RenderedFailure, Send
from lambda_runtime.invocation import Invocation
from lambda_runtime.wire import Connection, RuntimeApiError

# Between the prelude and the body (the metadata delimiter of HTTP integrations).
DELIMITER = b"\0" * 8
# Of one hop of HTTP; Lambda frames the body itself.
HOP_BY_HOP = frozenset(
    {b"content-length", b"connection", b"transfer-encoding", b"keep-alive", b"te", b"trailer", b"upgrade"}
)
# Lambda's limit is 6 MiB for the answer as JSON (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
LARGEST_BUFFERED = 6 * 1024 * 1024
# Seconds that an app may send without pause before other tasks get their turn.
LONGEST_TURN = 0.01
BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class AnswerTooLarge(OSError):
    """An answer in one piece passes Lambda's limit. An OSError: to the app, a connection that takes no more."""


class AnswerIncomplete(Exception):
    """The app returned without having finished its answer."""


class Responder(Protocol):
    """Takes an app's answer to Lambda."""

    @property
    def begun(self) -> bool:
        """Whether the caller may have seen a part of the answer: from then on no other can be given."""

    @property
    def finished(self) -> asyncio.Event:
        """Set when the whole answer is with Lambda."""

    @property
    def broken(self) -> asyncio.Event:
        """Set when Lambda takes no more of the answer."""

    @property
    def too_large(self) -> bool:
        """Whether the app's answer was refused for its size."""

    async def send(self, message: Message) -> None:
        """ASGI's `send`.

        Raises:
            OSError: nobody takes the answer any more.
        """

    async def answer(self, failure: RenderedFailure) -> None:
        """Answer in the app's place; only before the answer has begun."""

    async def abort(self, document: Mapping[str, Any]) -> None:
        """Cut an answer that has begun, telling Lambda why."""

    def drop(self) -> None:
        """Let go of what is held for an answer that cannot be ended in time."""


class StreamedResponder:
    """Prelude, then chunks as they come, with trailers on a failure.

    The status waits for the first body message, so that what fails in between still gets a status of its own.
    """

    too_large = False

    def __init__(
        self, api: RuntimeApi, invocation: Invocation, request: HttpRequest, *, fill_empty_bodies: bool
    ) -> None:
        self._api = api
        self._invocation = invocation
        self._cookies = request.cookies
        self._is_head = request.scope["method"] == "HEAD"
        self._fill = fill_empty_bodies
        # An app may send from several tasks; the answer is one sequence of bytes.
        self._turn = asyncio.Lock()
        self._start: Message | None = None
        self._bodiless = False
        self._connection: Connection | None = None
        self._reply: asyncio.Task[None] | None = None
        self._ended = False
        self._yielded_at = 0.0
        self.finished = asyncio.Event()
        self.broken = asyncio.Event()

    @property
    def begun(self) -> bool:
        """See `Responder`."""
        return self._connection is not None

    async def send(self, message: Message) -> None:
        """See `Responder`."""
        async with self._turn:
            await self._send(message)

    async def answer(self, failure: RenderedFailure) -> None:
        """See `Responder`."""
        self._start = {"type": "http.response.start", "status": failure.status, "headers": failure.headers}
        await self.send({"type": "http.response.body", "body": failure.body})

    async def abort(self, document: Mapping[str, Any]) -> None:
        """See `Responder`."""
        try:
            if not self._ended and not self.broken.is_set():
                await self._close(document)
        finally:
            self.drop()

    def drop(self) -> None:
        """Let go of the connection, whatever is on it."""
        if self._connection is not None:
            self._connection.abort()
        if self._reply is not None:
            self._reply.cancel()

    async def _send(self, message: Message) -> None:
        if self.finished.is_set() or self.broken.is_set() or self._ended:
            raise RuntimeApiError("the answer is closed")
        if message["type"] == "http.response.start" and self._start is None:
            self._start = message
            return
        if message["type"] != "http.response.body" or self._start is None:
            raise RuntimeError(f"unexpected ASGI message {message['type']}")
        data, more = message.get("body", b""), message.get("more_body", False)
        if self._connection is None:
            await self._open(self._start, data, more=more)
        elif data and not self._bodiless:
            await self._write(*chunk(data))
        if not more:
            await self._close()

    async def _open(self, start: Message, data: bytes, *, more: bool) -> None:
        status = start["status"]
        self._bodiless = self._is_head or status in BODILESS
        if self._bodiless:
            data = b""
        elif self._fill and not data and not more:
            data = b" "
        first = prelude(status, start.get("headers", []), self._cookies) + DELIMITER + data
        self._connection = await self._api.connect()
        self._reply = asyncio.get_running_loop().create_task(self._read_reply(self._connection))
        await self._write(self._api.stream_head(self._invocation), *chunk(first))

    async def _write(self, *parts: bytes) -> None:
        assert self._connection is not None  # noqa: S101  for the type checker
        try:
            await self._connection.send(*parts)
        except RuntimeApiError:
            self.broken.set()
            raise
        loop = asyncio.get_running_loop()
        if loop.time() - self._yielded_at > LONGEST_TURN:
            # Sending to a fast reader never waits: an app that does nothing else would keep the loop for itself.
            await asyncio.sleep(0)
            self._yielded_at = loop.time()

    async def _read_reply(self, connection: Connection) -> None:
        """Lambda's word on the answer. One that comes before its end is a refusal, such as a 413."""
        try:
            reply = await connection.response()
        except RuntimeApiError:
            self.broken.set()
            raise
        finally:
            if not self._ended:
                self.broken.set()
                connection.abort()
        if reply.status >= HTTPStatus.BAD_REQUEST or not self._ended:
            self.broken.set()
            raise RuntimeApiError(f"the Runtime API refused the answer: {reply.status}")

    async def _close(self, document: Mapping[str, Any] | None = None) -> None:
        assert self._reply is not None  # noqa: S101  likewise
        self._ended = True
        await self._write(last_chunk(document))
        await asyncio.shield(self._reply)
        self.drop()
        self.finished.set()


def prelude(status: int, headers: Headers, cookies: Cookies) -> bytes:
    """Status and headers as the JSON before a streamed body. Repeated headers are joined, but for cookies."""
    joined: dict[str, str] = {}
    set_cookies: list[str] = []
    for raw_name, raw_value in headers:
        name, value = raw_name.lower(), raw_value.decode("latin-1")
        if name == b"set-cookie":
            set_cookies.append(value)
        elif name not in HOP_BY_HOP:
            key = name.decode("latin-1")
            joined[key] = f"{joined[key]}, {value}" if key in joined else value
    document: dict[str, Any] = {"statusCode": status, "headers": joined}
    if set_cookies:
        in_field = {"set-cookie": set_cookies} if cookies is Cookies.MULTI_VALUE_HEADERS else set_cookies
        document[cookies.value] = in_field
    return json.dumps(document).encode()


class BufferedResponder:
    """The whole answer in one JSON object, put together by Mangum's own cycle. Nothing leaves before it is complete."""

    def __init__(self, api: RuntimeApi, invocation: Invocation, request: HttpRequest) -> None:
        self._api = api
        self._invocation = invocation
        self._request = request
        self._messages: list[Message] = []
        self._size = 0
        self.begun = False
        self.too_large = False
        self.finished = asyncio.Event()
        self.broken = asyncio.Event()

    async def send(self, message: Message) -> None:
        """See `Responder`.

        Raises:
            AnswerTooLarge
        """
        if self.finished.is_set() or self.broken.is_set():
            raise RuntimeApiError("the answer is closed")
        if (message["type"] == "http.response.start") is bool(self._messages):
            raise RuntimeError(f"unexpected ASGI message {message['type']}")
        # A copy: an app may use the same object again.
        self._messages.append(dict(message))
        self._size += len(message.get("body", b""))
        if self._size > LARGEST_BUFFERED:
            self._refuse()
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            await self._post()

    async def answer(self, failure: RenderedFailure) -> None:
        """See `Responder`. Whatever the app has sent is dropped."""
        self._messages = []
        self._size = 0
        self.broken.clear()
        await self.send({"type": "http.response.start", "status": failure.status, "headers": failure.headers})
        await self.send({"type": "http.response.body", "body": failure.body})

    async def abort(self, document: Mapping[str, Any]) -> None:
        """Never needed: an answer in one piece has not begun until it is over."""

    def drop(self) -> None:
        """Nothing is held."""

    def _refuse(self) -> NoReturn:
        self.too_large = True
        self.broken.set()
        raise AnswerTooLarge

    async def _post(self) -> None:
        cycle = HTTPCycle(self._request.scope, b"")
        await cycle.run(cast("Any", _replaying(self._messages)))
        document = self._request.handler({"status": cycle.status, "headers": cycle.headers, "body": cycle.body})
        if self._request.scope["method"] == "HEAD":
            document["body"] = ""
        content = json.dumps(document).encode()
        if len(content) > LARGEST_BUFFERED:
            self._refuse()
        self.begun = True
        await self._api.respond(self._invocation, content)
        self.finished.set()


def _replaying(messages: list[Message]) -> ASGIApp:
    """An app that sends what another one has sent."""

    async def app(scope: Any, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's shape
        for message in messages:
            if message["type"] == "http.response.start":
                # Mangum reads headers as UTF-8; HTTP's are Latin-1.
                headers = [
                    (name.lower(), value.decode("latin-1").encode())
                    for name, value in message.get("headers", [])
                    if name.lower() not in HOP_BY_HOP
                ]
                await send({**message, "headers": headers})
            else:
                await send(message)

    return app
