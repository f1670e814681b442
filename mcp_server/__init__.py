"""The MCP surface: tools chat, completion and list_models over Streamable HTTP and stdio.

Only `server` and what it imports load the MCP SDK (about a second of CPU); `endpoint` and `errors` do not.
"""
