"""The app's lifespan: entered once, before the first invocation, and left when Lambda ends the environment."""

import asyncio
from typing import Any

from lambda_runtime.function import ASGIApp, Message


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
            self.supported = False

    @property
    def ended(self) -> "asyncio.Task[None] | None":
        """The task whose end is a failure; None where there is nothing to watch."""
        return self._task if self.supported else None

    async def stop(self, seconds: float) -> None:
        """Shut down, within that time."""
        if self._task is None or self._task.done():
            return
        self._inbox.put_nowait({"type": "lifespan.shutdown"})
        await asyncio.wait({self._task}, timeout=seconds)
        self._task.cancel()

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        await self._app(scope, self._inbox.get, self._take)

    async def _take(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self._started.set()
        elif message["type"] == "lifespan.startup.failed":
            self._failure = message.get("message") or "the app's startup failed"
            self._started.set()
