"""Progress notifications that carry the answer's text as it comes, a few a second."""

from typing import Any

import anyio
from mcp.server.mcpserver import Context

# The protocol asks senders to limit their rate; people read well at this one.
INTERVAL_SECONDS = 0.15
WAITING_TEXT = "waiting for the model"


class TextProgress:
    """Collects pieces of text and reports them, at once when the last report is old enough.

    `progress` counts the characters so far plus the reports, so that it always grows. Clients that sent no progress
    token cost nothing: the SDK drops the report.
    """

    def __init__(self, context: Context[Any, Any]) -> None:
        self._context = context
        self._pending: list[str] = []
        self._reported = 0.0
        self._last_at = -INTERVAL_SECONDS

    async def waiting(self) -> None:
        """Say that the call is alive: opens the stream, and keeps idle timers away."""
        await self._report(WAITING_TEXT, 0)

    async def add(self, text: str) -> None:
        """Report the text, now or with what comes next."""
        self._pending.append(text)
        if anyio.current_time() - self._last_at >= INTERVAL_SECONDS:
            await self.flush()

    async def flush(self) -> None:
        """Report what is left."""
        if self._pending:
            text = "".join(self._pending)
            self._pending.clear()
            await self._report(text, len(text))

    async def _report(self, message: str, grown: int) -> None:
        self._reported += grown + 1
        self._last_at = anyio.current_time()
        await self._context.report_progress(self._reported, None, message)
