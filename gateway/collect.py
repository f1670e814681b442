"""A non-streamed answer is the stream, collected."""

from typing import Any

from gateway.answer import Answer
from gateway.chat_types import ChatResult, Choice, ChoiceDelta, Chunk, ToolCall, ToolCallDelta, Waiting


async def collect(answer: Answer) -> ChatResult:
    """Read the answer to its end.

    Raises:
        GatewayError: as the iteration does.
    """
    collector = Collector()
    async for event in answer:
        if not isinstance(event, Waiting):
            collector.add(event)
    return collector.result(answer)


class Collector:
    """Puts the pieces of an answer together."""

    def __init__(self) -> None:
        self._growing: dict[int, _GrowingChoice] = {}

    def add(self, chunk: Chunk) -> None:
        """Take a piece."""
        for delta in chunk.choices:
            self._growing.setdefault(delta.index, _GrowingChoice()).add(delta)

    def result(self, answer: Answer) -> ChatResult:
        """The whole answer, once its iteration has ended."""
        ending = answer.ending
        if ending is None:
            message = "the answer has not ended"
            raise RuntimeError(message)
        choices = tuple(
            self._growing.get(index, _GrowingChoice()).finish(index, reason)
            for index, reason in sorted(ending.finish_reasons.items())
        )
        return ChatResult(choices=choices, usage=ending.usage, notice=ending.notice)


class _GrowingChoice:
    """One choice's pieces. Joined at the end: adding strings one by one would copy them each time."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, list[ToolCallDelta]] = {}
        self._logprobs: dict[str, list[Any]] = {}

    def add(self, delta: ChoiceDelta) -> None:
        for text, pieces in (
            (delta.content, self._content),
            (delta.reasoning, self._reasoning),
            (delta.refusal, self._refusal),
        ):
            if text is not None:
                pieces.append(text)
        for call in delta.tool_calls:
            self._calls.setdefault(call.index, []).append(call)
        for name, entries in (delta.logprobs or {}).items():
            if isinstance(entries, list):
                self._logprobs.setdefault(name, []).extend(entries)

    def finish(self, index: int, reason: str) -> Choice:
        return Choice(
            index=index,
            finish_reason=reason,
            content="".join(self._content) if self._content else None,
            reasoning="".join(self._reasoning) or None,
            refusal="".join(self._refusal) or None,
            tool_calls=tuple(_join(pieces) for _, pieces in sorted(self._calls.items())),
            logprobs=self._logprobs or None,
        )


def _join(pieces: list[ToolCallDelta]) -> ToolCall:
    return ToolCall(
        id=next((piece.id for piece in pieces if piece.id), ""),
        name=next((piece.name for piece in pieces if piece.name), ""),
        arguments="".join(piece.arguments for piece in pieces),
    )
