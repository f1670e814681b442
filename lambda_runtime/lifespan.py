"""The app's lifespan: entered once, before the first invocation, and left when Lambda ends the environment."""

import asyncio
import logging
from typing import Any

from lambda_runtime.function import ASGIApp, Message

logger = logging.getLogger(__name__)


class LifespanFailed(Exception):
    """The app could not start, or its lifespan ended on its own."""


class Lifespan:
    """Runs the app's lifespan in a task of its own, for the life of the process.

    Attributes:
        state: what the app put there at startup; every request gets a copy.
        supported: False where the app knows no lifespan.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()
        self._failure: str | None = None
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}
        self.supported = True

    async def start(self) -> None:
        """Raises: LifespanFailed, with what the app said or raised."""
        self._inbox.put_nowait({"type": "lifespan.startup"})
        self._task = asyncio.get_running_loop().create_task(self._run())
        started = asyncio.ensure_future(self._started.wait())
        await asyncio.wait({self._task, started}, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if self._failure is not None:
            raise LifespanFailed(self._failure)
        if not self._started.is_set():
            error = self._task.exception()
            if error is None:
                raise LifespanFailed("the app's lifespan ended before it said that startup is complete")
            # The app did not take the scope: ASGI's way to say that it has no lifespan. An app that did take it, and
            # failed, is another matter.
            if self._inbox.empty():
                raise LifespanFailed(f"the app's startup failed: {type(error).__name__}: {error}") from error
            logger.warning("the app has no lifespan: it raised %s when it was asked for one", type(error).__name__)
            self.supported = False

    @property
    def ended(self) -> "asyncio.Task[None] | None":
        """The task that must not fail; None where there is nothing to watch any more."""
        over = self._task is None or (self._task.done() and self._task.exception() is None)
        return None if over or not self.supported else self._task

    async def stop(self, seconds: float) -> None:
        """Shut down, within that time."""
        if self._task is None or self._task.done():
            return
        self._inbox.put_nowait({"type": "lifespan.shutdown"})
        await asyncio.wait({self._task}, timeout=seconds)
        self._task.cancel()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._inbox.get, self._take)
        except (SystemExit, KeyboardInterrupt) as error:
            # asyncio would end the process for these, before anything is reported.
            raise LifespanFailed(f"the app tried to end the process: {error!r}") from error

    async def _take(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self._started.set()
        elif message["type"] == "lifespan.startup.failed":
            self._failure = message.get("message") or "the app's startup failed"
            self._started.set()
