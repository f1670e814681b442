"""The gateway's errors at /mcp, before any JSON-RPC message was understood."""

import json

from gateway.errors import GatewayError

# JSON-RPC's "Invalid Request" (https://www.jsonrpc.org/specification#error_object).
INVALID_REQUEST = -32600


def render_body(error: GatewayError) -> bytes:
    """A JSON-RPC error without an id: which message it answers is unknown."""
    failure = {"code": INVALID_REQUEST, "message": error.message, "data": {"code": error.code}}
    return json.dumps({"jsonrpc": "2.0", "id": None, "error": failure}).encode()
