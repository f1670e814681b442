"""The stock runtime's log lines: its own setup is bypassed, so this one keeps its contract.

Text: `[LEVEL]<TAB>time<TAB>request id<TAB>message`; JSON: an object per line. Shapes are those of awslambdaric
(https://github.com/aws/aws-lambda-python-runtime-interface-client).
"""

import json
import logging
import os
import struct
import sys
import time
import traceback
from typing import Any, Final

from typing_extensions import override

from lambda_runtime.environment import Environment
from lambda_runtime.invocation import CURRENT

LEVELS: Final = {"TRACE": logging.DEBUG, "FATAL": logging.CRITICAL}
STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_FRAME: Final = 0xA55A0000
_FRAME_OF: Final = {10: 0x0A, 20: 0x0E, 30: 0x12, 40: 0x16, 50: 0x1A}


class TextFormatter(logging.Formatter):
    """Tabs between the parts."""

    def __init__(self) -> None:
        super().__init__("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(request)s\t%(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    @override
    def format(self, record: logging.LogRecord) -> str:
        """A line; a trace below it."""
        invocation = CURRENT.get()
        record.request = invocation.request_id if invocation else ""
        line = super().format(record)
        # What this package logs of a failure; JSON lines have it as a field.
        return "\n".join([line, *(frame.rstrip() for frame in vars(record).get("stackTrace", ()))])


class JsonFormatter(logging.Formatter):
    """One object a line; what a call gives as `extra` becomes fields."""

    def __init__(self) -> None:
        super().__init__()
        self.converter = time.gmtime

    @override
    def format(self, record: logging.LogRecord) -> str:
        """A line."""
        invocation = CURRENT.get()
        fields: dict[str, Any] = {
            "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
        }
        fields |= {name: value for name, value in vars(record).items() if name not in STANDARD | fields.keys()}
        if invocation is not None:
            fields["requestId"] = invocation.request_id
            if invocation.tenant_id:
                fields["tenantId"] = invocation.tenant_id
        if record.exc_info and record.exc_info[0] is not None:
            kind, error, trace = record.exc_info
            fields["errorType"] = kind.__name__
            fields["errorMessage"] = str(error)
            fields["stackTrace"] = traceback.format_tb(trace)
            fields["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        try:
            return json.dumps(fields, default=str, allow_nan=False)
        except (TypeError, ValueError, RecursionError):
            # Odd extras: keys that are no text, a number that JSON does not have, a cycle.
            return json.dumps(
                {name: value if isinstance(value, str) else repr(value) for name, value in fields.items()}
            )


class TelemetryHandler(logging.Handler):
    """Frames on the descriptor that Lambda hands over: type, length, time in microseconds, message; big-endian."""

    def __init__(self, descriptor: int, *, is_json: bool) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._is_json = is_json

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = self.format(record).encode(errors="backslashreplace")
            kind = _FRAME + _FRAME_OF.get(record.levelno, 2) + (0 if self._is_json else 1)
            frame = struct.pack(">IIQ", kind, len(message), int(record.created * 1_000_000)) + message
            while frame:
                frame = frame[os.write(self._descriptor, frame) :]
        except Exception:  # noqa: BLE001  logging's own way to report what went wrong in a handler
            self.handleError(record)


def configure(environment: Environment) -> None:
    """The root logger, in place of whatever handlers it has."""
    handler: logging.Handler
    if environment.telemetry_fd is not None:
        handler = TelemetryHandler(environment.telemetry_fd, is_json=environment.log_json)
    else:
        handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter() if environment.log_json else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    level = LEVELS.get(environment.log_level, environment.log_level)
    if level in logging.getLevelNamesMapping() or isinstance(level, int):
        root.setLevel(level)
