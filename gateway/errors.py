"""Every way in which zerogate says no. Each class knows its code, status, OpenAI type and whether a retry can help.

    GatewayError
    ├── InvalidRequest 400            a body that cannot be served; `param` names the field
    │   ├── InvalidJson 400
    │   ├── MissingParameter 400
    │   ├── UnsupportedParameter 400
    │   ├── ContextLengthExceeded 400
    │   ├── ContentRefused 400        the provider's content filter
    │   └── UnsafeUrl 400             a URL that leads to an address we do not fetch from
    ├── InvalidApiKey 401             one constant text for unknown, malformed and wrong keys
    │   ├── ApiKeyExpired 401         told only to who holds the right secret
    │   └── ApiKeyRevoked 401         likewise, also for a disabled person or team
    ├── InsufficientScope 403
    ├── ModelNotFound 404             unknown or not allowed: the same text
    ├── UnknownRoute 404
    ├── MethodNotAllowed 405
    ├── BodyTooSlow 408
    ├── KeyConflict 409               three random key ids in a row were taken
    ├── RequestTooLarge 413
    ├── UnsupportedMediaType 415
    ├── RateLimited 429
    ├── InternalError 500             a fault of ours; the text is constant
    ├── AnswerTooLarge 500            larger than Lambda returns in one piece
    ├── UpstreamError 502             the provider failed, or refused the deployment's credential
    ├── Overloaded 503
    ├── AuthUnavailable 503           the key store cannot be asked
    ├── StoreUnavailable 503          the key store takes no change
    └── DeadlineExceeded 504          our time limit, before any output

The `message` is one sentence for a human: Codex and Claude Code print it verbatim. It never holds a secret, a stack
trace or the caller's input; what happened inside goes to the log through `raise ... from`.
"""

from typing import ClassVar


class GatewayError(Exception):
    """A refusal or failure that has a public face.

    Attributes:
        message: one public sentence.
        param: the request field at fault, as `messages[0].content`, or None.
        retry_after: seconds after which a retry may work, or None.
        should_retry: False tells SDKs not to try again (`x-should-retry`), None leaves it to them.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    text: ClassVar[str] = "The gateway failed to handle this request."
    another_deployment_may_help: ClassVar[bool] = False

    def __init__(
        self,
        message: str | None = None,
        *,
        param: str | None = None,
        retry_after: int | None = None,
        should_retry: bool | None = None,
    ) -> None:
        self.message = message or self.text
        self.param = param
        self.retry_after = retry_after
        self.should_retry = should_retry
        super().__init__(self.message)

    @property
    def is_server_fault(self) -> bool:
        """Whether the fault lies here or at the provider, and not with the caller."""
        return self.status >= 500  # noqa: PLR2004  HTTP's line between the two


class InvalidRequest(GatewayError):
    """The request cannot be served as it is."""

    code = "invalid_type"
    status = 400
    type = "invalid_request_error"
    text = "The request is not valid."


class InvalidJson(InvalidRequest):
    """The body is not a JSON object."""

    code = "invalid_json"
    text = "The request body is not a valid JSON object."


class MissingParameter(InvalidRequest):
    """A field that must be there is not."""

    code = "missing_required_parameter"


class UnsupportedParameter(InvalidRequest):
    """A field, or a value of it, that this gateway cannot honour."""

    code = "unsupported_parameter"


class ContextLengthExceeded(InvalidRequest):
    """The provider says that the input is longer than the model's window."""

    code = "context_length_exceeded"
    text = "The input is longer than this model's context window."


class ContentRefused(InvalidRequest):
    """The provider's content filter refused the request."""

    code = "content_filter"
    text = "The provider's content filter refused this request."


class UnsafeUrl(InvalidRequest):
    """A URL in the request leads to an address that the gateway does not fetch from."""

    code = "unsafe_url"
    text = "The URL leads to an address that this gateway does not fetch from."


class InvalidApiKey(GatewayError):
    """The credential is missing, malformed, unknown or wrong. The text is constant on purpose."""

    code = "invalid_api_key"
    status = 401
    type = "invalid_request_error"
    text = "Invalid or missing API key. Send it as 'Authorization: Bearer <key>' or as 'x-api-key'."


class ApiKeyExpired(InvalidApiKey):
    """The right secret of a key whose time is over."""

    text = "This API key has expired. Ask for it to be rotated."


class ApiKeyRevoked(InvalidApiKey):
    """The right secret of a key that is revoked, or whose person or team is disabled."""

    text = "This API key has been revoked. Ask for a new one."


class InsufficientScope(GatewayError):
    """A valid key that may not do this."""

    code = "insufficient_scope"
    status = 403
    type = "permission_error"
    text = "This API key does not have the scope that this address needs."


class ModelNotFound(GatewayError):
    """An unknown model, or one that this key may not use: the caller cannot tell which."""

    code = "model_not_found"
    status = 404
    type = "invalid_request_error"
    text = (
        "The model does not exist or you do not have access to it. "
        "GET /v1/models, or the tool list_models, names those you may use."
    )


class UnknownRoute(GatewayError):
    """No such address."""

    code = "unknown_route"
    status = 404
    type = "invalid_request_error"
    text = "There is nothing at this address. There are /v1/chat/completions, /v1/models, /v1/me and /mcp."


class MethodNotAllowed(GatewayError):
    """The address exists, but not for this method. `allow` holds the value of the Allow header."""

    code = "method_not_allowed"
    status = 405
    type = "invalid_request_error"
    text = "This address does not answer that method."

    def __init__(self, allow: str) -> None:
        super().__init__(f"This address answers {allow} only.")
        self.allow = allow


class AnswerTooLarge(GatewayError):
    """An answer in one piece that the platform does not carry."""

    code = "answer_too_large"
    status = 500

    def __init__(self, *, limit: int) -> None:
        super().__init__(
            f"The answer is larger than the {limit:,} bytes that can be returned in one piece. Ask for less.",
            should_retry=False,
        )
        self.limit = limit


class BodyTooSlow(GatewayError):
    """The request's body did not arrive in time."""

    code = "request_timeout"
    status = 408
    type = "invalid_request_error"
    text = "The request body did not arrive in time."


class KeyConflict(GatewayError):
    """No free key id was found."""

    code = "key_conflict"
    status = 409
    type = "invalid_request_error"
    text = "No free id was found for the new key. Try again."


class RequestTooLarge(GatewayError):
    """The body is over the payload cap."""

    code = "request_too_large"
    status = 413
    type = "invalid_request_error"

    def __init__(self, *, limit: int, size: int | None) -> None:
        said = f"is {size:,} bytes" if size is not None else "is larger"
        super().__init__(f"The request body {said}; the limit is {limit:,} bytes. Shorten it, or send less at once.")
        self.limit = limit
        self.size = size


class UnsupportedMediaType(GatewayError):
    """A body that says it is something other than JSON."""

    code = "unsupported_media_type"
    status = 415
    type = "invalid_request_error"
    text = "Send the body as JSON, with 'content-type: application/json'."


class RateLimited(GatewayError):
    """Too many requests, here or at the provider."""

    code = "rate_limit_exceeded"
    status = 429
    type = "rate_limit_error"
    text = "The provider's rate limit for this model is reached. Try again shortly."
    another_deployment_may_help = True


class InternalError(GatewayError):
    """A fault of ours."""


class UpstreamError(GatewayError):
    """The provider failed, answered with something that is no answer, or refused the deployment's own credential."""

    code = "upstream_error"
    status = 502
    text = "The model's provider failed to answer this request."
    another_deployment_may_help = True


class Overloaded(GatewayError):
    """The provider says that it has too much to do."""

    code = "server_overloaded"
    status = 503
    text = "The model's provider is overloaded. Try again shortly."
    another_deployment_may_help = True


class AuthUnavailable(GatewayError):
    """The key store cannot be asked, and this key is not known here."""

    code = "auth_unavailable"
    status = 503
    text = "API keys cannot be checked at the moment. Try again shortly."


class StoreUnavailable(GatewayError):
    """A change of a key did not reach the key store, or nobody knows whether it did."""

    code = "store_unavailable"
    status = 503
    text = "The key store does not answer at the moment. Before you try again, look whether the change was made."


class DeadlineExceeded(GatewayError):
    """The time limit came before any output."""

    code = "gateway_timeout"
    status = 504

    def __init__(self, *, limit_seconds: float | None) -> None:
        limit = f"the time limit of {limit_seconds:g} s" if limit_seconds is not None else "the platform's time limit"
        # Tokens may have been bought already: a retry would buy them again.
        super().__init__(f"The model gave no output within {limit}.", should_retry=False)
        self.limit_seconds = limit_seconds
