"""What a handler gives the runtime: the ASGI app, and how the runtime treats it."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
Headers: TypeAlias = list[tuple[bytes, bytes]]

# Key of the HTTP scope: when Lambda ends the invocation, in seconds on the event loop's clock.
DEADLINE: Final = "lambda_runtime.deadline"


class ResponseMode(StrEnum):
    """How the function is invoked. The event does not tell, so this is configuration.

    STREAM is for API Gateway REST integrations with `responseTransferMode: STREAM` and for Function URLs with
    `RESPONSE_STREAM`. Events of an ALB or an HTTP API, which cannot stream, are answered in one piece either way.
    """

    STREAM = "stream"
    BUFFERED = "buffered"


class FailureKind(StrEnum):
    """Why the runtime answers in the app's place."""

    APP_FAILED = "app_failed"
    DEADLINE = "deadline"
    ANSWER_TOO_LARGE = "answer_too_large"
    MALFORMED_EVENT = "malformed_event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What happened, for `Function.render_failure`.

    Attributes:
        limit: bytes, for ANSWER_TOO_LARGE.
    """

    kind: FailureKind
    path: str = ""
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFailure:
    """An answer to a request that the app did not answer. The status is a 5xx, or a 4xx for a malformed event."""

    status: int
    headers: Headers
    body: bytes


STATUS: Final = {
    FailureKind.APP_FAILED: (500, "The application failed."),
    FailureKind.DEADLINE: (504, "The function's time ended before the application answered."),
    FailureKind.ANSWER_TOO_LARGE: (500, "The answer is larger than Lambda returns in one piece."),
    FailureKind.MALFORMED_EVENT: (400, "The request cannot be read."),
}


def render_plainly(failure: Failure) -> RenderedFailure:
    """A small JSON body, for apps with no error shape of their own."""
    status, message = STATUS[failure.kind]
    body = json.dumps({"error": {"code": failure.kind.value, "message": message}}).encode()
    return RenderedFailure(status=status, headers=[(b"content-type", b"application/json")], body=body)


async def nothing() -> None:
    """No hook."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """An app, and what the runtime needs to know of it.

    Attributes:
        response_mode: as the function is invoked.
        render_failure: the answer where the app gave none.
        message_of: the text of an exception for logs and for Lambda's error records; an app whose exceptions may quote
            what callers sent passes a function that leaves the text out.
        settle_seconds: how long tasks that a request left behind may go on before the next request is taken. The caller
            has the whole answer by then; the time is billed.
        fill_empty_bodies: send one byte in an answer that has none, though it may have one (a 202, a 3xx).
        before_snapshot, after_restore: hooks for SnapStart, run with those that `snapshot_restore_py` registered.
    """

    app: ASGIApp
    response_mode: ResponseMode = ResponseMode.STREAM
    render_failure: Callable[[Failure], RenderedFailure] = render_plainly
    message_of: Callable[[BaseException], str] = str
    settle_seconds: float = 2.0
    fill_empty_bodies: bool = False
    before_snapshot: Callable[[], Awaitable[None]] = nothing
    after_restore: Callable[[], Awaitable[None]] = nothing
