"""Progress notifications that carry the answer's text as it comes, a few a second."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio
from mcp.server.mcpserver import Context

from gateway.scope import tasks_beside

# The protocol asks senders to limit their rate; people read well at this one.
INTERVAL_SECONDS = 0.15
WAITING_TEXT = "waiting for the model"


class TextProgress:
    """Collects pieces of text and reports them, each no later than an interval after it came.

    `progress` counts the characters so far plus the reports, so that it always grows. Clients that sent no progress
    token cost nothing: the SDK drops the report.
    """

    def __init__(self, context: Context[Any, Any]) -> None:
        self._context = context
        self._pending: list[str] = []
        self._news = anyio.Event()
        self._reporting = anyio.Lock()
        self._reported = 0.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Says at once that the call is alive; reports what is left when the block ends well."""
        await self.waiting()
        async with tasks_beside() as tasks:
            tasks.start_soon(self._report_now_and_then)
            yield self
            await self._flush()

    async def waiting(self) -> None:
        """Say that the call is alive: opens the stream, and keeps idle timers away."""
        await self._report(WAITING_TEXT, 0)

    def add(self, text: str) -> None:
        """Take a piece of the text."""
        self._pending.append(text)
        self._news.set()

    async def _report_now_and_then(self) -> None:
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            await self._flush()
            await anyio.sleep(INTERVAL_SECONDS)

    async def _flush(self) -> None:
        # One at a time: the end of the block waits for a report that is under way instead of cutting it off.
        async with self._reporting:
            if self._pending:
                text = "".join(self._pending)
                self._pending.clear()
                await self._report(text, len(text))

    async def _report(self, message: str, grown: int) -> None:
        self._reported += grown + 1
        await self._context.report_progress(self._reported, None, message)
