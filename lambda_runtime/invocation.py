"""One invocation as `/next` hands it over, and the context object that handlers know from the stock runtime."""

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Self

from lambda_runtime.environment import Environment

# Lambda's longest timeout (https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html).
LONGEST_SECONDS = 900.0
# Lambda hands out no invocation whose time is over: a shorter rest than this is a clock that has jumped.
SHORTEST_SECONDS = 0.5

CURRENT: ContextVar["Invocation | None"] = ContextVar("lambda_runtime_invocation", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What to answer.

    Attributes:
        deadline: on the monotonic clock (the event loop's), seconds.
        invocation_id: to be echoed where Lambda sent one.
        body: the event, as JSON bytes.
    """

    request_id: str
    deadline: float
    deadline_ms: int
    function_arn: str
    trace_id: str | None
    invocation_id: str | None
    tenant_id: str | None
    client_context: str | None
    cognito_identity: str | None
    body: bytes

    @classmethod
    def from_response(cls, headers: Mapping[str, str], body: bytes) -> Self:
        """From the headers (lower-case names) and the body of `/next`.

        Raises:
            KeyError, ValueError: not an answer of the Runtime API.
        """
        deadline_ms = int(headers["lambda-runtime-deadline-ms"])
        left = deadline_ms / 1000 - time.time()
        return cls(
            request_id=headers["lambda-runtime-aws-request-id"],
            deadline=time.monotonic() + min(max(left, SHORTEST_SECONDS), LONGEST_SECONDS),
            deadline_ms=deadline_ms,
            function_arn=headers.get("lambda-runtime-invoked-function-arn", ""),
            trace_id=headers.get("lambda-runtime-trace-id"),
            invocation_id=headers.get("lambda-runtime-invocation-id"),
            tenant_id=headers.get("lambda-runtime-aws-tenant-id"),
            client_context=headers.get("lambda-runtime-client-context"),
            cognito_identity=headers.get("lambda-runtime-cognito-identity"),
            body=body,
        )

    @property
    def seconds_left(self) -> float:
        """Until Lambda ends it."""
        return self.deadline - time.monotonic()


class LambdaContext:
    """The context of the stock runtime (https://docs.aws.amazon.com/lambda/latest/dg/python-context.html).

    In the HTTP scope as `aws.context`; the event is `aws.event`.
    """

    def __init__(self, invocation: Invocation, environment: Environment) -> None:
        self._invocation = invocation
        self.aws_request_id = invocation.request_id
        self.invoked_function_arn = invocation.function_arn
        self.tenant_id = invocation.tenant_id
        self.client_context: Any = invocation.client_context
        self.identity: Any = invocation.cognito_identity
        self.function_name = environment.function_name
        self.function_version = environment.function_version
        self.memory_limit_in_mb = environment.memory_mb
        self.log_group_name = environment.log_group
        self.log_stream_name = environment.log_stream

    def get_remaining_time_in_millis(self) -> int:
        """Until Lambda ends the invocation; never negative."""
        return max(0, int(self._invocation.seconds_left * 1000))
