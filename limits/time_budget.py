"""How long a call may take."""

from dataclasses import dataclass

# The part of the available time that the grace may take, and what it takes at least.
LARGEST_GRACE = 0.25
SMALLEST_GRACE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedTimeBudget:
    """`gateway.ports.TimeBudget`: one limit for streams, a shorter one for whole answers, and the platform's end.

    A collected answer sends nothing until it is whole, so it has to end before API Gateway gives up on a silent
    connection after five minutes (https://docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode.html).

    Attributes:
        grace_seconds: kept free before the platform's end, to write down the usage and to send what ends the answer.
    """

    streamed_seconds: float
    collected_seconds: float
    grace_seconds: float

    def seconds(self, *, streamed: bool, available: float | None) -> float:
        """From the arrival of the request to its last byte. See the port."""
        limit = self.streamed_seconds if streamed else self.collected_seconds
        if available is None:
            return limit
        # A platform that gives a few seconds in all must not lose them to the grace.
        grace = min(self.grace_seconds, max(available * LARGEST_GRACE, SMALLEST_GRACE))
        return min(limit, round(max(0.0, available - grace), 1))
