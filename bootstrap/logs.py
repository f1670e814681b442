"""The log on stderr: one line an event, with the request's id, and without anything that looks like a credential."""

import logging
import sys
from contextvars import ContextVar

from typing_extensions import override

from gateway.redaction import without_secrets

# They would write a line or more for each request, with addresses in it.
NARRATES_REQUESTS = ("httpx", "httpx2", "httpcore", "botocore", "urllib3", "werkzeug", "mcp", "uvicorn")
# They would write whole messages at DEBUG.
QUOTES_MESSAGES = ("openai", "anthropic", "sse_starlette", "aiohttp", "asyncio")
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)


class RedactingFormatter(logging.Formatter):
    """Formats first and redacts then, so that arguments and traces are covered as well."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """One line; a trace below it where there is one."""
        record.request_id = REQUEST_ID.get() or "-"
        return without_secrets(super().format(record))


def configure_logs(level: str) -> None:
    """Set up the root logger. Before any library does: the MCP SDK installs a handler where there is none."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in (*NARRATES_REQUESTS, *QUOTES_MESSAGES):
        logging.getLogger(chatty).setLevel(logging.WARNING)
