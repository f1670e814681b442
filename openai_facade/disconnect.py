"""Ends a request's work when its client leaves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Receive

from gateway.scope import tasks_beside


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
