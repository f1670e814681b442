"""Turns whatever a request raised into the answer for its surface; nothing leaves here as a stack trace."""

import logging

import anyio
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import GatewayError, InternalError, MethodNotAllowed, UnknownRoute
from gateway.redaction import stack_of
from mcp_server.errors import render_body as render_mcp_body
from openai_facade.errors import render

logger = logging.getLogger(__name__)

# A client that is still sending would lose the answer to a connection reset: so much of the rest is read and dropped.
LINGER_BYTES = 64 * 1024 * 1024
LINGER_SECONDS = 5.0


class ErrorBoundary:
    """ASGI middleware around the router."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, one way or the other.

        Raises:
            Exception: after the answer has begun, so that the server cuts the connection: a client must not take a
                broken answer for a whole one.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = _Watched(receive, send)
        try:
            # Starlette's router raises, rather than answers in plain text, where it finds an app in the scope.
            await self._app({**scope, "app": self._app}, request.receive, request.send)
        except Exception as error:
            if request.client_gone:
                return
            if request.answer_begun:
                raise
            await request.answer(*answer_to(_as_ours(error), scope["path"]))


class _Watched:
    """A request's two channels, and how far they have got."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._body_read = False
        self.answer_begun = False
        self.client_gone = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.client_gone = self.client_gone or message["type"] == "http.disconnect"
        self._body_read = self._body_read or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        self.answer_begun = True
        try:
            await self._send(message)
        except OSError:
            self.client_gone = True
            raise

    async def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        raw += [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})
        await self.send({"type": "http.response.body", "body": body, "more_body": True})
        with anyio.move_on_after(LINGER_SECONDS):
            await self._drop_rest_of_body()
        await self.send({"type": "http.response.body", "body": b""})

    async def _drop_rest_of_body(self) -> None:
        dropped = 0
        while not self._body_read and dropped < LINGER_BYTES:
            dropped += len((await self.receive()).get("body", b""))


def _as_ours(error: Exception) -> GatewayError:
    if isinstance(error, GatewayError):
        if error.is_server_fault:
            logger.error("%s: %s", error.code, error.message)
        return error
    if isinstance(error, HTTPException) and error.status_code == 405:  # noqa: PLR2004  from the router
        return MethodNotAllowed((error.headers or {}).get("Allow", ""))
    if isinstance(error, HTTPException) and error.status_code == 404:  # noqa: PLR2004  from the router
        return UnknownRoute()
    logger.error("a request failed: %s", stack_of(error))
    return InternalError()


def answer_to(error: GatewayError, path: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an error, in the shape of the surface at the path."""
    status, headers, body = render(error)
    return status, headers, render_mcp_body(error) if path == "/mcp" else body
