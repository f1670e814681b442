"""Addresses that clients build from a base URL with too little or too much in it, brought to the one under /v1.

This happens before the key check, the limits and the log, so that no spelling gets around any of them. Only the data
plane has aliases: nothing leads to /admin, /v1/admin or /mcp.
"""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

RESOURCES = ("chat", "completions", "embeddings", "models", "responses", "messages", "files", "uploads")
_ALIAS = re.compile(rf"/(?:v1/|v1/v1/|openai/v1/|api/v1/)?((?:{'|'.join(RESOURCES)})(?:/.*)?)", re.DOTALL)


def canonical(path: str) -> str:
    """The address under /v1, without a trailing slash; the path itself where there is none."""
    match = _ALIAS.fullmatch(path)
    return f"/v1/{match[1].rstrip('/')}" if match else path


class PathAliases:
    """ASGI middleware that rewrites the path in the scope; it never redirects, which clients do not follow on POST."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] == "http" and (path := canonical(scope["path"])) != scope["path"]:
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)
