"""What Lambda runs: the same application as `zerogate serve`, given to `lambda_runtime`. Handlers of template.yaml."""

from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from auth.cognito import CognitoReader
from bootstrap.app import build_app
from bootstrap.cognito_client import build_client
from bootstrap.error_boundary import answer_to
from bootstrap.logs import redact_logs
from bootstrap.settings import Settings, SettingsError, read_settings
from gateway.call import PLATFORM_DEADLINE
from gateway.errors import AnswerTooLarge, DeadlineExceeded, GatewayError, InternalError, InvalidRequest
from lambda_runtime import DEADLINE, Failure, FailureKind, Function, RenderedFailure, ResponseMode

# `make build MODELS=models.yaml` puts the file here: beside this package, at the top of the artifact.
MODELS_IN_ARTIFACT = Path(__file__).parents[1] / "models.yaml"


def gateway() -> Function:
    """The public function: everything that a key opens.

    Raises:
        SettingsError, CatalogError: the function cannot serve; Lambda reports it as an init error.
    """
    settings = _settings()
    redact_logs(settings.log_level)
    pool_id = settings.cognito_user_pool_id
    if not pool_id:
        raise SettingsError("ZEROGATE_COGNITO_USER_POOL_ID: not set; keys are kept in that user pool")
    records = CognitoReader(
        lambda: build_client(region=settings.pool_region, endpoint_url=settings.cognito_endpoint_url), pool_id=pool_id
    )
    return Function(
        app=_with_deadline(build_app(settings, records=records)),
        response_mode=ResponseMode(settings.response_mode),
        render_failure=render_failure,
        # What was raised may quote what a caller sent.
        message_of=lambda _: "",
        settle_seconds=settings.settle_seconds,
        fill_empty_bodies=settings.fill_empty_bodies,
    )


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
