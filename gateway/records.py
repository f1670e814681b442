"""What is written down about a call: ids, counts, times and the outcome. Never message text, never a secret."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from gateway.chat_types import Usage


class Outcome(StrEnum):
    """How a call ended."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    REFUSED = "refused"
    CLIENT_GONE = "client_gone"


class UsageSource(StrEnum):
    """Where the token counts come from."""

    REPORTED = "reported"
    ESTIMATED = "estimated"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecord:
    """One call, once.

    Attributes:
        model: the catalog entry's name; None when the call was refused before one was resolved.
        provider_model: what the provider was asked for.
        cost_usd: None where the model has no known price.
        latency_ms: from the arrival of the request to its settling; time_to_first_token_ms likewise.
        error_code: the code of the error that the caller saw.
    """

    request_id: str
    surface: str
    endpoint: str
    key_id: str
    owner: str
    team: str | None
    model: str | None
    provider_model: str | None
    streamed: bool
    outcome: Outcome
    usage: Usage
    usage_source: UsageSource
    cost_usd: Decimal | None
    latency_ms: int
    time_to_first_token_ms: int | None
    attempts: int
    error_code: str | None
    notice_code: str | None
