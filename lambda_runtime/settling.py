"""Tasks that a request leaves behind, and the bounded wait for them before the next request is taken.

Lambda may freeze the process as soon as it asks for the next invocation: a task still running then would stand still
for minutes, or forever.
"""

import asyncio
import logging
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any

logger = logging.getLogger(__name__)

# The tasks of the request in whose context a task is created. Those of the lifespan belong to none.
_TASKS: ContextVar["set[asyncio.Task[Any]] | None"] = ContextVar("lambda_runtime_tasks", default=None)


def task_factory(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **options: Any
) -> "asyncio.Task[Any]":
    """For `loop.set_task_factory`: notes which request a task came from."""
    task: asyncio.Task[Any] = asyncio.Task(coroutine, loop=loop, **options)
    context: Context | None = options.get("context")
    tasks = context.get(_TASKS) if context is not None else _TASKS.get()
    if tasks is not None:
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    return task


@contextmanager
def tasks_noted() -> Iterator["set[asyncio.Task[Any]]"]:
    """The tasks that come from within the block, as long as they run."""
    tasks: set[asyncio.Task[Any]] = set()
    token = _TASKS.set(tasks)
    try:
        yield tasks
    finally:
        _TASKS.reset(token)


async def settle(tasks: "set[asyncio.Task[Any]]", seconds: float) -> None:
    """Wait until the tasks, and those they start, are over; not longer than that many seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while waiting := set(tasks):
        left = end - loop.time()
        if left <= 0:
            names = ", ".join(sorted({_name(task) for task in waiting}))
            logger.warning("still running after the answer, and may be frozen: %s", names)
            return
        await asyncio.wait(waiting, timeout=left)


def _name(task: "asyncio.Task[Any]") -> str:
    coroutine = task.get_coro()
    return getattr(coroutine, "__qualname__", None) or repr(type(coroutine))
