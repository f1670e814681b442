"""What a loopback upstream does with the next request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One scripted answer.

    Attributes:
        words: pieces of text, one stream event each.
        tool: (name, pieces of the JSON arguments): the answer is a tool call instead of text.
        status: other than 200: an error in the provider's own shape, before any piece.
        die_after: cut the connection after that many pieces.
        end_after: end the body cleanly after that many pieces, with no finish and no usage.
        hold_after: send that many pieces, then nothing until the client leaves.
        flood: repeat the words that many times.
        pause: seconds between pieces; first_pause: before the first byte.
        raw: send these bytes under `status`, whatever was asked.
    """

    words: Sequence[str] = ("Hello", " from", " the", " loopback", " upstream")
    tool: tuple[str, Sequence[str]] | None = None
    status: int = 200
    error_message: str = "scripted failure"
    error_code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    die_after: int | None = None
    end_after: int | None = None
    hold_after: int | None = None
    flood: int = 1
    pause: float = 0.0
    first_pause: float = 0.0
    choices: int = 1
    raw: bytes | None = None
    raw_type: str = "text/html"
    input_tokens: int = 11
    output_tokens: int = 7
    cached_tokens: int = 3

    @property
    def text(self) -> str:
        """The whole text of the answer."""
        return "".join(self.words) * self.flood
