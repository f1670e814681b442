"""What Lambda tells the process through its environment. The only reader of it in this package."""

import os
import sys
from dataclasses import dataclass
from typing import Self

NOT_ON_LAMBDA = (
    "lambda_runtime speaks to AWS Lambda's Runtime API, and AWS_LAMBDA_RUNTIME_API is not set: this is not a Lambda "
    "environment. To run an ASGI app on this machine, use an HTTP server such as uvicorn."
)
TRACE_ID = "_X_AMZN_TRACE_ID"


class NotOnLambda(Exception):
    """Started somewhere else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Read once at start.

    Attributes:
        runtime_api: host:port.
        telemetry_fd: where Lambda takes log frames, if it does.
    """

    runtime_api: str
    handler: str
    task_root: str
    function_name: str
    function_version: str
    memory_mb: int
    log_group: str
    log_stream: str
    log_json: bool
    log_level: str
    telemetry_fd: int | None
    snap_start: bool

    @classmethod
    def read(cls) -> Self:
        """Raises: NotOnLambda."""
        env = os.environ
        runtime_api = env.get("AWS_LAMBDA_RUNTIME_API", "")
        if not runtime_api:
            raise NotOnLambda(NOT_ON_LAMBDA)
        memory, telemetry = env.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", ""), env.get("_LAMBDA_TELEMETRY_LOG_FD", "")
        # Not for the app's own children, as the stock runtime has it.
        env.pop("_LAMBDA_TELEMETRY_LOG_FD", None)
        return cls(
            runtime_api=runtime_api,
            handler=env.get("_HANDLER", ""),
            task_root=env.get("LAMBDA_TASK_ROOT") or os.getcwd(),  # noqa: PTH109  sys.path holds strings
            function_name=env.get("AWS_LAMBDA_FUNCTION_NAME", ""),
            function_version=env.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
            memory_mb=int(memory) if memory.isdigit() else 0,
            log_group=env.get("AWS_LAMBDA_LOG_GROUP_NAME", ""),
            log_stream=env.get("AWS_LAMBDA_LOG_STREAM_NAME", ""),
            log_json=env.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON",
            log_level=env.get("AWS_LAMBDA_LOG_LEVEL", "").upper(),
            telemetry_fd=int(telemetry) if telemetry.isdigit() else None,
            snap_start=env.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start",
        )


def set_trace_id(trace_id: str | None) -> None:
    """Where the X-Ray SDK looks. Removed when there is none: the last invocation's must not stay."""
    if trace_id:
        os.environ[TRACE_ID] = trace_id
    else:
        os.environ.pop(TRACE_ID, None)


def set_import_path(task_root: str) -> None:
    """The task's root first, as the stock runtime has it: `python -m` puts the working directory there."""
    if task_root not in sys.path[:1]:
        sys.path.insert(0, task_root)
