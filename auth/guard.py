"""The key check in front of a route, the same for every surface."""

from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.identity import PRINCIPAL, Principal

Verify = Callable[[str | None], Awaitable[Principal]]


class Guard:
    """Runs the app with the verified principal in the scope, or raises the refusal for the error boundary to render."""

    def __init__(self, app: ASGIApp, *, verify: Verify) -> None:
        self._app = app
        self._verify = verify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises: what `auth.verifier.Verifier.verify` raises."""
        scope[PRINCIPAL] = await self._verify(presented_key(Headers(scope=scope)))
        await self._app(scope, receive, send)


def presented_key(headers: Headers) -> str | None:
    """The key of `Authorization: Bearer`, or else of `x-api-key`. Never from the query: addresses are logged."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return headers.get("x-api-key")
