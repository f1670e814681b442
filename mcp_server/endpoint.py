"""/mcp as an ASGI app that loads the MCP SDK when the first request for it comes."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus

from gateway.connection import Message, Receive, read_body, while_connected
from gateway.errors import InternalError
from gateway.scope import tasks_beside
from mcp_server.envelope import check_envelope

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from starlette.types import Scope, Send

logger = logging.getLogger(__name__)

# The product's own payload cap comes first; the SDK's must not be lower.
NO_CAP = 2**31


class McpEndpoint:
    """Streamable HTTP, stateless, in both protocol eras.

    The session manager is entered by a task that the lifespan owns, never by a request: its task group has to outlive
    the request that loaded it.

    Args:
        build: makes the server; called once, in a worker thread, since it loads the SDK.
        stream: SSE where the client takes it; otherwise one JSON body per request.
        hosts: the Host headers to accept, as `name` or `name:*`; empty accepts all (keys are mandatory, and DNS
            rebinding aims at servers that need none).
    """

    def __init__(self, build: "Callable[[], MCPServer]", *, stream: bool = True, hosts: Sequence[str] = ()) -> None:
        self._build = build
        self._stream = stream
        self._hosts = tuple(hosts)
        self._wanted = anyio.Event()
        self._settled = anyio.Event()
        self._manager: StreamableHTTPSessionManager | None = None

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Owns the session manager, from the first request on."""
        async with tasks_beside() as tasks:
            await tasks.start(self._serve)
            yield

    async def __call__(self, scope: "Scope", receive: Receive, send: "Send") -> None:
        """Serve one POST.

        Raises:
            InvalidJson, InvalidRequest: the body is not a JSON-RPC message.
            RequestTooLarge: from `receive`.
            InternalError: the SDK could not be loaded.
        """
        body = await read_body(receive)
        check_envelope(body)
        self._wanted.set()
        await self._settled.wait()
        if self._manager is None:
            raise InternalError
        if self._stream:
            # The SDK listens for a client that leaves by itself.
            await self._manager.handle_request(scope, _replayed(body, receive), send)
            return
        async with while_connected(receive):
            await self._manager.handle_request(scope, _replayed(body, _silent), send)

    async def _serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await self._wanted.wait()
        try:
            manager = await anyio.to_thread.run_sync(self._load)
        except Exception:
            logger.exception("the MCP server could not be built")
            self._settled.set()
            return
        async with manager.run():
            self._manager = manager
            self._settled.set()
            await anyio.sleep_forever()

    def _load(self) -> "StreamableHTTPSessionManager":
        from mcp.server.transport_security import TransportSecuritySettings  # noqa: PLC0415  the point of this class

        server = self._build()
        checks: dict[str, Any] = {"enable_dns_rebinding_protection": bool(self._hosts), "allowed_hosts": self._hosts}
        # Called for its side effect: it makes the session manager.
        server.streamable_http_app(
            stateless_http=True,
            json_response=not self._stream,
            max_request_body_size=NO_CAP,
            transport_security=TransportSecuritySettings(**checks),
        )
        return server.session_manager


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that brings the body that was read, and then what comes after it."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


async def _silent() -> Message:
    await anyio.sleep_forever()
    raise AssertionError
