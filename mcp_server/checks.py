"""What the SDK answers differently from what the protocol, or this product, wants: checked in front of `tools/call`."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mcp.server.context import CallNext, ServerRequestContext
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult
from pydantic import ValidationError

from gateway.errors import InvalidRequest
from gateway.places import place_of

# Writes the refusal down where it is a model call, and renders it.
Refuse = Callable[[ServerRequestContext[Any, Any], str, InvalidRequest], Awaitable[CallToolResult]]


class ToolCallChecks:
    """Middleware: an unknown tool is a protocol error; a bad argument is named and its value never echoed."""

    def __init__(self, tools: Mapping[str, Tool], *, refuse: Refuse) -> None:
        self._tools = tools
        self._refuse = refuse

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> Any:
        """Pass on what is well formed.

        Raises:
            MCPError: there is no such tool.
        """
        if ctx.method != "tools/call":
            return await call_next(ctx)
        params = ctx.params or {}
        tool = self._tools.get(str(params.get("name")))
        if tool is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool. There are: {', '.join(self._tools)}.")
        arguments = params.get("arguments")
        if arguments is not None and not isinstance(arguments, Mapping):
            raise MCPError(INVALID_PARAMS, "The arguments of a tool are an object.")
        try:
            tool.fn_metadata.validate_arguments(dict(arguments or {}))
        except ValidationError as error:
            return await self._refuse(ctx, tool.name, _named(error))
        return await call_next(ctx)


def _named(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False, include_input=False)[0]
    param = place_of(first["loc"]) or "arguments"
    said = "is missing" if first["type"] == "missing" else "has the wrong type or value"
    return InvalidRequest(f"The argument {param!r} {said}; see the tool's input schema.", param=param)
