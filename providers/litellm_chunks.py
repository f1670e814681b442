"""LiteLLM's stream chunks and responses as ours."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from gateway.chat_types import ChoiceDelta, Chunk, JsonObject, ToolCallDelta, Usage
from gateway.errors import UpstreamError

OPENAI_FINISH_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
SAME_AS = {
    "max_tokens": "length",
    "model_length": "length",
    "tool_use": "tool_calls",
    "safety": "content_filter",
    "refusal": "content_filter",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
# What providers call it when an answer broke off.
NO_FINISH = frozenset({"error", "failed", "cancelled", "timeout"})


def finish_reason(theirs: str) -> str:
    """One of OpenAI's enum.

    Raises:
        UpstreamError: the provider says that it broke off.
    """
    if theirs in OPENAI_FINISH_REASONS:
        return theirs
    if theirs in NO_FINISH:
        raise UpstreamError("The model's provider broke off in the middle of its answer.", should_retry=False)
    return SAME_AS.get(theirs, "stop")


class FinishEvidence:
    """Watches the provider's own events behind LiteLLM's stream, which makes up `stop` for a stream that just ends."""

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self._by_index: dict[int, str] = {}
        if wrapper.completion_stream is not None and hasattr(wrapper.completion_stream, "__aiter__"):
            wrapper.completion_stream = self._watched(wrapper.completion_stream)

    async def _watched(self, events: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for event in events:
            for choice in getattr(event, "choices", None) or ():
                if reason := getattr(choice, "finish_reason", None):
                    self._by_index[choice.index] = reason
            yield event

    def reasons(self, seen: set[int]) -> Mapping[int, str]:
        """By choice index; empty when the provider never said that it had finished."""
        received = self._wrapper.received_finish_reason
        if received is None:
            return {}
        # LiteLLM turns `stop` into `tool_calls` for providers that call tools and say `stop`.
        if received == "stop" and self._wrapper.tool_call:
            received = "tool_calls"
        found = {index: self._by_index.get(index, received) for index in seen or {0}}
        return {index: finish_reason(received if reason == "stop" else reason) for index, reason in found.items()}


def chunk_from(theirs: Any) -> Chunk:
    """The deltas that carry something, and the usage if it is there. Finish reasons are not taken from here."""
    deltas = tuple(
        delta
        for choice in theirs.choices
        if (delta := _delta(choice.index, choice.delta, _logprobs(choice))).has_output
    )
    return Chunk(choices=deltas, usage=usage_from(getattr(theirs, "usage", None)))


def chunk_from_whole(theirs: Any) -> Chunk:
    """A non-streamed answer as a single chunk.

    Raises:
        UpstreamError: the body holds no finished choice.
    """
    reasons = {choice.index: finish_reason(choice.finish_reason) for choice in theirs.choices if choice.finish_reason}
    if not reasons:
        raise UpstreamError("The model's provider sent something that is not an answer.")
    deltas = tuple(
        delta
        for choice in theirs.choices
        if (delta := _delta(choice.index, choice.message, _logprobs(choice))).has_output
    )
    return Chunk(choices=deltas, finish_reasons=reasons, usage=usage_from(getattr(theirs, "usage", None)))


def _delta(index: int, theirs: Any, logprobs: JsonObject | None) -> ChoiceDelta:
    return ChoiceDelta(
        index=index,
        content=theirs.content,
        reasoning=getattr(theirs, "reasoning_content", None),
        refusal=getattr(theirs, "refusal", None),
        tool_calls=tuple(_tool_call(place, call) for place, call in enumerate(theirs.tool_calls or ())),
        logprobs=logprobs,
    )


def _tool_call(place: int, theirs: Any) -> ToolCallDelta:
    index = getattr(theirs, "index", None)
    return ToolCallDelta(
        index=place if index is None else index,
        id=theirs.id or None,
        name=theirs.function.name or None,
        arguments=theirs.function.arguments or "",
    )


def _logprobs(choice: Any) -> JsonObject | None:
    found = getattr(choice, "logprobs", None)
    if found is None or isinstance(found, dict):
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
