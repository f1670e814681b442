"""How long a call may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedTimeBudget:
    """`gateway.ports.TimeBudget`: one limit for streams, a shorter one for answers in one piece.

    A collected answer sends nothing until it is whole, so it has to end before API Gateway gives up on a silent
    connection after five minutes (https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html).
    """

    streamed_seconds: float
    collected_seconds: float

    def seconds(self, *, streamed: bool) -> float:
        """From the arrival of the request to its last byte."""
        return self.streamed_seconds if streamed else self.collected_seconds
