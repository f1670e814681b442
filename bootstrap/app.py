"""The ASGI application: every route, and the layers that each request goes through.

RequestContext → CORS → ErrorBoundary → PathAliases → Router → Guard → PayloadCap → the route's endpoint
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TextIO

from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from auth.cache import CacheTimes, RecordCache, RecordReader
from auth.cognito import CognitoWriter
from auth.guard import Guard
from auth.me import me
from auth.verifier import Verifier
from bootstrap.core import Core, build_core
from bootstrap.error_boundary import ErrorBoundary
from bootstrap.request_context import RequestContext
from bootstrap.settings import Settings
from gateway.catalog import Catalog
from gateway.errors import UnknownRoute
from limits.payload import PayloadCap
from mcp_server.endpoint import McpEndpoint
from openai_facade.aliases import PathAliases
from openai_facade.chat_completions import ChatCompletions
from openai_facade.models import Models

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

# Addresses without a key. They tell nothing that a caller may not know.
OPEN_PATHS = frozenset({"/", "/healthz"})
EXPOSED_HEADERS = ("x-request-id", "retry-after", "x-should-retry")


def build_app(
    settings: Settings,
    *,
    records: RecordReader,
    catalog: Catalog | None = None,
    usage_stream: TextIO | None = None,
    make_writer: Callable[[], CognitoWriter] | None = None,
) -> ASGIApp:
    """The application.

    Args:
        make_writer: where keys are written, for the administration; the public function on Lambda has none.
        records: where keys are looked up.
        catalog: in place of the one that the settings name.
        usage_stream: where usage lines go; standard output by default, which Lambda sends to CloudWatch.

    Raises:
        CatalogError: the models file cannot be used.
    """
    core = build_core(settings, catalog=catalog, usage_stream=usage_stream)
    verifier = build_verifier(settings, records)
    mcp = build_mcp(settings, core)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        async with mcp.lifespan():
            yield

    def guarded(endpoint: ASGIApp) -> ASGIApp:
        return Guard(PayloadCap(endpoint, max_bytes=settings.max_request_bytes), verify=verifier.verify)

    models = Models(core.directory, created=int(time.time()))
    routes: list[BaseRoute] = [
        Route("/v1/chat/completions", guarded(ChatCompletions(core.gateway)), methods=["POST"]),
        Route("/v1/models", guarded(models.list), methods=["GET"]),
        Route("/v1/models/{model_id:path}", guarded(models.get), methods=["GET"]),
        Route("/v1/me", guarded(me), methods=["GET"]),
        Route("/mcp", guarded(mcp), methods=["POST"]),
        Route("/healthz", _Json({"status": "ok", "version": version("zerogate")}), methods=["GET"]),
        Route("/", _Json({"name": "zerogate", "openai_base_url": "/v1", "mcp": "/mcp"}), methods=["GET"]),
    ]
    if make_writer is not None:
        routes += admin_routes(settings, verifier, make_writer, trusts_iam=False)
    return surrounded(routes, settings, lifespan)


def build_admin_app(settings: Settings, *, records: RecordReader, make_writer: Callable[[], CognitoWriter]) -> ASGIApp:
    """The administration alone, behind API Gateway: the second function on Lambda."""
    routes = admin_routes(settings, build_verifier(settings, records), make_writer, trusts_iam=True)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        yield

    return surrounded(routes, settings, lifespan)


def admin_routes(
    settings: Settings, verifier: Verifier, make_writer: Callable[[], CognitoWriter], *, trusts_iam: bool
) -> list[BaseRoute]:
    """The same routes at both addresses: /admin/v1 behind IAM, /v1/admin for keys with the scope `admin`.

    Args:
        trusts_iam: whether requests come through API Gateway, which has then checked their signature.
    """
    from auth.admin import AdminGuard, CreateKey, iam_identity  # noqa: PLC0415  the public function has none of it

    create = PayloadCap(CreateKey(make_writer), max_bytes=settings.max_request_bytes)
    by_key = AdminGuard(create, verify=verifier.verify)
    by_iam = AdminGuard(create, verify=verifier.verify, identity=iam_identity) if trusts_iam else by_key
    return [
        Route("/admin/v1/keys", by_iam, methods=["POST"]),
        Route("/v1/admin/keys", by_key, methods=["POST"]),
    ]


def surrounded(
    routes: list[BaseRoute], settings: Settings, lifespan: Callable[[Any], AbstractAsyncContextManager[None]]
) -> ASGIApp:
    """The routes in the layers that every request goes through."""
    router = Router(routes, default=_unknown, redirect_slashes=False, lifespan=lifespan)
    cors = CORSMiddleware(
        ErrorBoundary(PathAliases(router)),
        allow_origins=settings.cors_origins,
        allow_methods=("GET", "POST", "PATCH", "DELETE", "OPTIONS"),
        allow_headers=("*",),
        expose_headers=EXPOSED_HEADERS,
        max_age=86_400,
    )
    return RequestContext(cors)


def build_verifier(settings: Settings, records: RecordReader) -> Verifier:
    """The key check over cached records."""
    times = CacheTimes(
        found=settings.key_cache_seconds,
        missing=settings.missing_key_cache_seconds,
        stale=settings.stale_key_seconds,
    )
    return Verifier(RecordCache(records, times=times))


def build_mcp(settings: Settings, core: Core) -> McpEndpoint:
    """/mcp, which loads the MCP SDK when it is first asked."""

    def build() -> "MCPServer":
        from mcp_server.server import build_server  # noqa: PLC0415  a second of CPU that other surfaces must not pay
        from mcp_server.tools import Tools  # noqa: PLC0415

        return build_server(
            Tools(core.gateway, core.directory, default_model=core.default_model, stream=settings.mcp_stream)
        )

    return McpEndpoint(build, stream=settings.mcp_stream, hosts=settings.mcp_hosts)


class _Json:
    """A constant answer."""

    def __init__(self, body: dict[str, str]) -> None:
        self._response = JSONResponse(body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._response(scope, receive, send)


async def _unknown(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001  ASGI's shape
    raise UnknownRoute
