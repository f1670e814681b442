"""Builds the MCP server from the tools. Loads the SDK: import it only when the surface is used."""

from importlib.metadata import version

from mcp.server.caching import CacheHint
from mcp.server.mcpserver import MCPServer

from mcp_server.checks import ToolCallChecks
from mcp_server.tools import Tools

INSTRUCTIONS = (
    "Ask other language models: `chat` with a conversation, `completion` with one prompt, `list_models` for the names. "
    "Answers say in `finish_reason` and `notice` when they are incomplete."
)
# The tools are the same for every key. Only clients of 2026-07-28 and later see these hints.
FIVE_MINUTES = CacheHint(ttl_ms=300_000, scope="public")


def build_server(tools: Tools) -> MCPServer:
    """The server, for either transport.

    The root logger must be configured by now: the SDK would do it otherwise.
    """
    offered = tools.all()
    return MCPServer(
        name="zerogate",
        title="zerogate",
        version=version("zerogate"),
        instructions=INSTRUCTIONS,
        tools=offered,
        subscriptions=False,
        cache_hints={"tools/list": FIVE_MINUTES, "server/discover": FIVE_MINUTES},
        middleware=[ToolCallChecks({tool.name: tool for tool in offered}, refuse=tools.refused)],
    )
