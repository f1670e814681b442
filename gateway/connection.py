"""What every HTTP surface does with an ASGI connection: read the body, and end its work when the client leaves."""

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import anyio

from gateway.errors import BodyTooSlow
from gateway.scope import tasks_beside

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]

# A few megabytes, over a slow line.
BODY_SECONDS = 60.0


async def read_body(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        BodyTooSlow: it is not there after a minute.
        ConnectionResetError: the client left before it was complete; to the call's account a client that is gone.
        RequestTooLarge: from `receive`, under the payload cap.
    """
    body = bytearray()
    with anyio.move_on_after(BODY_SECONDS):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError
            body += message.get("body", b"")
            if not message.get("more_body"):
                return bytes(body)
    raise BodyTooSlow(should_retry=False)


@asynccontextmanager
async def while_connected(receive: Receive) -> AsyncIterator[None]:
    """Cancels the block when the client closes the connection. To be entered after the body was read.

    On Lambda `receive` never says so: there the deadline bounds the work.
    """

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        tasks.cancel_scope.cancel()

    async with tasks_beside() as tasks:
        tasks.start_soon(watch)
        yield
