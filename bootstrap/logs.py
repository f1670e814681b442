"""The log on stderr: one line an event, with the request's id, and without anything that looks like a credential."""

import json
import logging
import sys
from contextvars import ContextVar
from typing import Any

from typing_extensions import override

from gateway.redaction import without_secrets

# They would write a line or more for each request, with addresses in it.
NARRATES_REQUESTS = ("httpx", "httpx2", "httpcore", "botocore", "urllib3", "werkzeug", "mcp", "uvicorn", "mangum")
# They would write whole messages at DEBUG.
QUOTES_MESSAGES = ("openai", "anthropic", "sse_starlette", "aiohttp", "asyncio")
REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)


class RedactingFormatter(logging.Formatter):
    """Formats first, in whatever way is set, and redacts then, so that arguments and traces are covered as well.

    Args:
        inner: makes the line; one that writes a JSON object has its values redacted, and stays JSON.
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    @override
    def format(self, record: logging.LogRecord) -> str:
        """One line; a trace below it where there is one."""
        record.request_id = REQUEST_ID.get() or "-"
        line = self._inner.format(record)
        if line.startswith("{"):
            return json.dumps(_redacted(json.loads(line)))
        return without_secrets(line)


def _redacted(value: Any) -> Any:
    """The same JSON, its texts without secrets."""
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, dict):
        return {name: _redacted(item) for name, item in value.items()}
    return [_redacted(item) for item in value] if isinstance(value, list) else value


def configure_logs(level: str) -> None:
    """Set up the root logger. Before any library does: the MCP SDK installs a handler where there is none."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"))
    logging.getLogger().handlers[:] = [handler]
    redact_logs(level)


def redact_logs(level: str) -> None:
    """Keep the root logger's handlers, as a platform set them up, and let no secret and no chatter through them."""
    root = logging.getLogger()
    for handler in root.handlers:
        handler.setFormatter(RedactingFormatter(handler.formatter or logging.Formatter()))
    root.setLevel(level)
    for chatty in (*NARRATES_REQUESTS, *QUOTES_MESSAGES):
        logging.getLogger(chatty).setLevel(logging.WARNING)
