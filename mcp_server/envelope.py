"""The shape of a JSON-RPC 2.0 message, checked before the SDK sees it: the SDK answers a wrong one by quoting it."""

import json
from typing import Any

from gateway.errors import InvalidJson, InvalidRequest


def check_envelope(body: bytes) -> None:
    """Pass what is one request, notification or response.

    Raises:
        InvalidJson: it is not JSON.
        InvalidRequest: it is not a JSON-RPC message. The text is constant.
    """
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError):
        # From None: the original holds the body.
        raise InvalidJson("The body is not valid JSON.") from None
    if not _is_message(message):
        raise InvalidRequest(
            "The body is not a JSON-RPC 2.0 message: an object with 'jsonrpc' \"2.0\", a string 'method', "
            "an 'id' that is a string or a whole number, and 'params' that is an object."
        )


def _is_message(message: Any) -> bool:
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return False
    id_ = message.get("id")
    if isinstance(id_, bool) or not isinstance(id_, str | int | None):
        return False
    if "method" not in message:
        return "result" in message or "error" in message
    return isinstance(message["method"], str) and isinstance(message.get("params", {}), dict | None)
