"""LiteLLM's exceptions as ours. The status counts before the class: LiteLLM often picks an odd class for a status."""

import ast
import json
import re
from collections.abc import Iterable
from typing import Any

from litellm import exceptions as theirs

from gateway.errors import (
    ContentRefused,
    ContextLengthExceeded,
    GatewayError,
    InvalidRequest,
    Overloaded,
    RateLimited,
    UpstreamError,
)
from gateway.redaction import HIDDEN, without_details

MAX_RETRY_AFTER = 60
MAX_TEXT = 300
# Shorter parameters are words like a Region's name.
SHORTEST_CREDENTIAL = 8
_PREFIX = re.compile(r"^(?:litellm\.)?\w*(?:Error|Exception|Timeout)(?:\s*[-:]\s*|\s+(?=\w+(?:Error|Exception)\b))")
# What LiteLLM appends: its own advice, and the provider's raw body, which may hold what the model said.
_SUFFIX = re.compile(
    r"[.,]?\s*(?:Handle with `litellm\.|LiteLLM Retried:|Original Response:|Received[:=]|File an issue if litellm).*$",
    re.DOTALL,
)
# How LiteLLM's Bedrock code says, as a 422, that a 200 held no answer. Bedrock itself has no such status.
_NO_PROVIDER = "LLM Provider NOT provided"
_NO_ANSWER = "converting to valid response"


def translated(error: Exception, hidden: Iterable[str], *, begun: bool) -> GatewayError:
    """What the caller is told.

    Args:
        hidden: credentials that a provider may quote.
        begun: whether a piece of the answer has come: then the answer broke off, whatever the reason.
    """
    if begun:
        # Tokens were bought: a retry would buy them again.
        return UpstreamError("The model's provider broke off in the middle of its answer.", should_retry=False)
    if isinstance(error, theirs.MidStreamFallbackError) and isinstance(error.original_exception, Exception):
        error = error.original_exception
    if isinstance(error, GatewayError):
        return error
    return _by_class(error) or _by_status(getattr(error, "status_code", None), error, hidden)


def _by_class(error: Exception) -> GatewayError | None:
    if isinstance(error, theirs.ContextWindowExceededError):
        return ContextLengthExceeded(param="messages")
    if isinstance(error, theirs.ContentPolicyViolationError):
        return ContentRefused(param="messages")
    if isinstance(error, theirs.Timeout):
        return UpstreamError("The model's provider did not answer in time.")
    return None


def _by_status(status: object, error: Exception, hidden: Iterable[str]) -> GatewayError:
    match status:
        case 400 | 413 | 422:
            return _refused_request(error, hidden)
        case 401 | 403:
            return UpstreamError(
                "The model's provider refused this gateway's credential. Tell whoever runs the gateway."
            )
        case 404:
            return UpstreamError("The model's provider does not know this model. Tell whoever runs the gateway.")
        case 429:
            return RateLimited(retry_after=_retry_after(error))
        case 503 | 529:
            return Overloaded(retry_after=_retry_after(error) or 2)
        case _:
            return UpstreamError()


def _refused_request(error: Exception, hidden: Iterable[str]) -> GatewayError:
    """The provider's own sentence is what helps: it names the parameter that it does not take."""
    said = provider_text(error, hidden)
    if _NO_PROVIDER in said:
        return UpstreamError(
            "The gateway's catalog names a provider that does not exist. Tell whoever runs the gateway."
        )
    if _NO_ANSWER in said:
        return UpstreamError("The model's provider sent something that is not an answer.")
    if "context" in said and ("length" in said or "window" in said or "too long" in said):
        return ContextLengthExceeded(param="messages")
    return InvalidRequest(f"The model's provider refused the request: {said}" if said else None)


def provider_text(error: Exception, hidden: Iterable[str] = ()) -> str:
    """The provider's sentence without LiteLLM's wrapping, credentials, addresses and account numbers."""
    text = str(getattr(error, "message", "") or error)
    while (shorter := _PREFIX.sub("", text)) != text:
        text = shorter
    text = _SUFFIX.sub("", text)
    text = _message_in(text) or text
    for credential in hidden:
        if len(credential) >= SHORTEST_CREDENTIAL:
            text = text.replace(credential, HIDDEN)
    text = " ".join(without_details(text).split())
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _message_in(text: str) -> str | None:
    """The message inside a provider's JSON body, which may itself be the `repr` of bytes."""
    if text.startswith(("b'", 'b"')):
        try:
            text = ast.literal_eval(text).decode("utf-8", "replace")
        except (ValueError, SyntaxError):
            return None
    try:
        body: Any = json.loads(text)
    except ValueError:
        return None
    found = body.get("error", body) if isinstance(body, dict) else None
    message = found.get("message") if isinstance(found, dict) else found
    return message if isinstance(message, str) else None


def _retry_after(error: Exception) -> int | None:
    """The provider's wish in whole seconds, at most a minute: Node's SDK sleeps as long as it is told."""
    sources = (
        getattr(getattr(error, "response", None), "headers", None),
        getattr(error, "litellm_response_headers", None),
    )
    for headers in sources:
        value = headers.get("retry-after") if headers else None
        try:
            if value:
                return min(MAX_RETRY_AFTER, max(1, round(float(value))))
        except (ValueError, OverflowError):  # a date: rare, and the SDKs have a default of their own
            continue
    return None
