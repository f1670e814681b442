"""What Lambda runs: the same application as `zerogate serve`, given to `lambda_runtime`. Handlers of template.yaml."""

from functools import cache
from importlib import import_module
from pathlib import Path

import anyio.to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from auth.cognito import ClientFactory, CognitoReader, CognitoWriter
from bootstrap.app import build_admin_app, build_app
from bootstrap.cognito_client import build_client
from bootstrap.error_boundary import answer_to
from bootstrap.logs import configure_logs, redact_logs
from bootstrap.settings import Settings, SettingsError, read_settings
from gateway.call import PLATFORM_DEADLINE
from gateway.errors import AnswerTooLarge, DeadlineExceeded, GatewayError, InternalError, InvalidRequest
from lambda_runtime import DEADLINE, Failure, FailureKind, Function, RenderedFailure, ResponseMode

# `make build MODELS=models.yaml` puts the file here: beside this package, at the top of the artifact.
MODELS_IN_ARTIFACT = Path(__file__).parents[1] / "models.yaml"


def gateway() -> Function:
    """The public function: everything that a key opens. Its role can read keys, and nothing else about them.

    Raises:
        SettingsError, CatalogError: the function cannot serve; Lambda reports it as an init error.
    """
    settings = _settings()
    app = build_app(settings, records=CognitoReader(_client_maker(settings), pool_id=_pool(settings)))
    return _function(app, settings)


def admin() -> Function:
    """The administration, with a role that may create and change keys.

    Raises:
        SettingsError: likewise.
    """
    settings = _settings()
    make_client = cache(_client_maker(settings))
    app = build_admin_app(
        settings,
        records=CognitoReader(make_client, pool_id=_pool(settings)),
        make_writer=lambda: CognitoWriter(make_client(), pool_id=_pool(settings)),
    )
    return _function(app, settings)


def web() -> ASGIApp:
    """The public function's app for an HTTP server behind the Lambda Web Adapter: see docs/deploy.md.

    Raises:
        SettingsError, CatalogError: likewise.
    """
    settings = _settings()
    configure_logs(settings.log_level)
    return build_app(settings, records=CognitoReader(_client_maker(settings), pool_id=_pool(settings)))


def _function(app: ASGIApp, settings: Settings) -> Function:
    redact_logs(settings.log_level)
    return Function(
        app=_with_deadline(app),
        response_mode=ResponseMode(settings.response_mode),
        render_failure=render_failure,
        # What was raised may quote what a caller sent.
        message_of=lambda _: "",
        settle_seconds=settings.settle_seconds,
        fill_empty_bodies=settings.fill_empty_bodies,
        before_snapshot=_load_libraries,
    )


async def _load_libraries() -> None:
    """What is in a snapshot need not be loaded after it. Nothing is connected: sockets do not survive."""
    for name in ("boto3", "providers.litellm_engine", "mcp_server.server"):
        await anyio.to_thread.run_sync(import_module, name)


def _pool(settings: Settings) -> str:
    if not settings.cognito_user_pool_id:
        raise SettingsError("ZEROGATE_COGNITO_USER_POOL_ID: not set; keys are kept in that user pool")
    return settings.cognito_user_pool_id


def _client_maker(settings: Settings) -> ClientFactory:
    return lambda: build_client(region=settings.pool_region, endpoint_url=settings.cognito_endpoint_url)


def render_failure(failure: Failure) -> RenderedFailure:
    """The product's error object, in the shape of the surface that was asked."""
    status, headers, body = answer_to(_error_of(failure), failure.path)
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    return RenderedFailure(status=status, headers=[*raw, (b"content-type", b"application/json")], body=body)


def _error_of(failure: Failure) -> GatewayError:
    match failure.kind:
        case FailureKind.DEADLINE:
            return DeadlineExceeded(limit_seconds=None)
        case FailureKind.ANSWER_TOO_LARGE:
            return AnswerTooLarge(limit=failure.limit or 0)
        case FailureKind.MALFORMED_EVENT:
            return InvalidRequest("The request's body is not what its content type says.")
        case FailureKind.APP_FAILED:
            return InternalError()


def _settings() -> Settings:
    settings = read_settings()
    if settings.models_file is None and MODELS_IN_ARTIFACT.exists():
        return read_settings(models_file=MODELS_IN_ARTIFACT)
    return settings


def _with_deadline(app: ASGIApp) -> ASGIApp:
    """Tells the core, in its own words, when Lambda ends the request."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        if DEADLINE in scope:
            scope[PLATFORM_DEADLINE] = scope[DEADLINE]
        await app(scope, receive, send)

    return run
