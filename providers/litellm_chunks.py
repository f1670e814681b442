"""LiteLLM's stream chunks and responses as ours."""

from collections.abc import Mapping
from typing import Any

from gateway.chat_types import ChoiceDelta, Chunk, JsonObject, ToolCallDelta, Usage


class AnswerReader:
    """Reads one answer's chunks. It remembers which tool calls are open, and which choices called one.

    Some OpenAI-compatible servers give every tool call the same index, or none: a new id then opens a new call.
    """

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.calling: set[int] = set()
        self._open_calls: dict[tuple[int, int], tuple[int, str | None]] = {}
        self._calls_so_far: dict[int, int] = {}

    def chunk(self, theirs: Any) -> Chunk:
        """The deltas of a ModelResponseStream that carry something, and its usage. No finish reasons."""
        return self._read(theirs, "delta")

    def whole(self, theirs: Any) -> Chunk:
        """A ModelResponse as a single chunk."""
        return self._read(theirs, "message")

    def _read(self, theirs: Any, part: str) -> Chunk:
        deltas = [self._delta(choice, getattr(choice, part)) for choice in theirs.choices]
        kept = tuple(delta for delta in deltas if delta.has_output)
        self.seen.update(delta.index for delta in kept)
        return Chunk(choices=kept, usage=usage_from(getattr(theirs, "usage", None)))

    def _delta(self, choice: Any, said: Any) -> ChoiceDelta:
        calls = tuple(self._call(choice.index, place, call) for place, call in enumerate(said.tool_calls or ()))
        if calls:
            self.calling.add(choice.index)
        return ChoiceDelta(
            index=choice.index,
            content=said.content,
            reasoning=getattr(said, "reasoning_content", None),
            refusal=getattr(said, "refusal", None),
            tool_calls=calls,
            logprobs=_logprobs(choice),
        )

    def _call(self, choice: int, place: int, theirs: Any) -> ToolCallDelta:
        index = getattr(theirs, "index", None)
        key = (choice, place if index is None else index)
        id_ = theirs.id or None
        known = self._open_calls.get(key)
        if known is None or (id_ is not None and known[1] is not None and id_ != known[1]):
            known = (self._calls_so_far.get(choice, 0), id_)
            self._calls_so_far[choice] = known[0] + 1
        self._open_calls[key] = (known[0], known[1] or id_)
        return ToolCallDelta(
            index=known[0], id=id_, name=theirs.function.name or None, arguments=theirs.function.arguments or ""
        )


def _logprobs(choice: Any) -> JsonObject | None:
    found = getattr(choice, "logprobs", None)
    if found is None or isinstance(found, Mapping):
        return found
    return dict(found.model_dump())


def usage_from(theirs: Any) -> Usage | None:
    """None where LiteLLM had nothing to count: it then says 0."""
    if theirs is None or not (theirs.prompt_tokens or theirs.completion_tokens):
        return None
    into, out = theirs.prompt_tokens_details, theirs.completion_tokens_details
    return Usage(
        input_tokens=theirs.prompt_tokens,
        output_tokens=theirs.completion_tokens,
        cache_read_tokens=getattr(into, "cached_tokens", None) or 0,
        cache_write_tokens=getattr(into, "cache_creation_tokens", None) or 0,
        reasoning_tokens=getattr(out, "reasoning_tokens", None) or 0,
    )
