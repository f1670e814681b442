"""`zerogate mcp`: the MCP server over stdio, with this machine's provider credentials and no key."""

import sys

from mcp.server.mcpserver import MCPServer

from bootstrap.core import build_core
from bootstrap.settings import Settings
from gateway.identity import Policy, Principal, Scope
from mcp_server.server import build_server
from mcp_server.tools import Tools

# Whoever can start this process has the credentials that it uses.
LOCAL_PRINCIPAL = Principal(key_id="local", owner="local", policies=(Policy(scopes=frozenset({Scope.INFERENCE})),))


def build_stdio_server(settings: Settings) -> MCPServer:
    """The same server as at /mcp. Usage lines go to stderr: stdout belongs to the protocol.

    Raises:
        CatalogError: the models file cannot be used.
    """
    core = build_core(settings, usage_stream=sys.stderr)
    tools = Tools(core.gateway, core.directory, default_model=core.default_model, local_principal=LOCAL_PRINCIPAL)
    return build_server(tools)
