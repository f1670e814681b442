"""The gateway's errors as HTTP answers, in the one shape that OpenAI's and Anthropic's clients both read."""

import json
from typing import Any

from gateway.errors import GatewayError, InvalidApiKey, MethodNotAllowed

# Node's SDK sleeps as long as it is told.
MAX_RETRY_AFTER = 60


def error_body(error: GatewayError) -> dict[str, Any]:
    """All four fields that OpenAI's schema requires, plus the top-level `type` that Anthropic's clients look for."""
    return {
        "type": "error",
        "error": {"message": error.message, "type": error.type, "param": error.param, "code": error.code},
    }


def error_headers(error: GatewayError) -> dict[str, str]:
    """What clients act on without reading the body."""
    headers = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(min(error.retry_after, MAX_RETRY_AFTER))
    if error.should_retry is not None:
        headers["x-should-retry"] = "true" if error.should_retry else "false"
    if isinstance(error, InvalidApiKey):
        headers["www-authenticate"] = 'Bearer realm="zerogate"'
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = error.allow
    return headers


def render(error: GatewayError) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    return error.status, error_headers(error), json.dumps(error_body(error)).encode()
