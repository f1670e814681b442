"""Tasks beside a block of code, cancelled when it is left."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup


@asynccontextmanager
async def tasks_beside() -> AsyncIterator[TaskGroup]:
    """A task group that lives as long as the block. The block's own exception comes out as it is, not in a group.

    A task that cancels the group's scope ends the block without an exception.
    """
    left_with: Exception | None = None
    async with anyio.create_task_group() as tasks:
        try:
            yield tasks
        except Exception as error:  # noqa: BLE001  raised again below, outside the group
            left_with = error
        tasks.cancel_scope.cancel()
    if left_with is not None:
        raise left_with
