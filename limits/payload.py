"""The payload cap: one for every surface, kept while the body is read, so that an oversized one is never held whole."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.errors import RequestTooLarge

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class PayloadCap:
    """Runs the app with a `receive` that raises once the body is, or says that it will be, over the cap.

    The check sits in `receive` and not in front of the app, so that the surface's own account of the call sees the
    refusal and records it.

    Args:
        max_bytes: of the body as the app sees it: decoded.
    """

    def __init__(self, app: App, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Raises: RequestTooLarge, from `receive`."""
        declared = _declared_length(scope)
        read = 0

        async def capped() -> Message:
            nonlocal read
            if declared is not None and declared > self._max_bytes:
                raise RequestTooLarge(limit=self._max_bytes, size=declared)
            message = await receive()
            read += len(message.get("body", b""))
            if read > self._max_bytes:
                raise RequestTooLarge(limit=self._max_bytes, size=None)
            return message

        await self._app(scope, capped, send)


def _declared_length(scope: MutableMapping[str, Any]) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None
