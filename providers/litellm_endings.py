"""Evidence that a provider really finished. LiteLLM says `stop` where an answer just ends, breaks, or says nothing."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from litellm.litellm_core_utils import core_helpers
from typing_extensions import override

from gateway.errors import UpstreamError
from providers.litellm_chunks import AnswerReader

logger = logging.getLogger(__name__)

# LiteLLM's types admit few words; this one of them stands for every word that is no finish.
BROKEN = "malformed_function_call"
FINISHES: Mapping[str, str] = {
    **{word: word for word in ("stop", "length", "tool_calls", "content_filter", "function_call")},
    **dict.fromkeys(("end_turn", "stop_sequence", "eos", "eos_token", "COMPLETE", "STOP", "complete"), "stop"),
    **dict.fromkeys(("max_tokens", "MAX_TOKENS", "model_length", "compaction"), "length"),
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    **dict.fromkeys(("refusal", "safety", "guardrail_intervened", "content_filtered", "sensitive"), "content_filter"),
}


class _HonestMap(dict[str, str]):
    """LiteLLM's table of finish reasons, less the entries that turn failures and unknown words into `stop`."""

    @override
    def get(self, word: str, default: Any = None) -> Any:
        """What LiteLLM is to take the provider's word for."""
        theirs = super().get(word, BROKEN)
        return FINISHES.get(word, theirs if theirs != "stop" else BROKEN)


def make_finish_reasons_honest() -> None:
    """Replace LiteLLM's table. Every provider's code looks its words up there."""
    # There is no setting for it; the pinned version is what this is written and tested for.
    vars(core_helpers)["_FINISH_REASON_MAP"] = _HonestMap(vars(core_helpers)["_FINISH_REASON_MAP"])


def finish_reason(word: str, *, calls_tools: bool) -> str:
    """One of OpenAI's enum.

    Raises:
        UpstreamError: the word says that the answer broke off, or is not known to say anything else.
    """
    found = FINISHES.get(word)
    if found is None:
        logger.warning("a provider ended with the word %.40r, which is no known finish", word)
        raise UpstreamError("The model's provider broke off in the middle of its answer.", should_retry=False)
    # Some OpenAI-compatible servers call tools and say `stop`.
    return "tool_calls" if calls_tools and found == "stop" else found


def _judged(words: Mapping[int, str], answer: AnswerReader, *, otherwise: str) -> Mapping[int, str]:
    """The finish reasons, where every choice that said something has one.

    Raises:
        UpstreamError: one has none, or nothing finished at all (`otherwise` is told); or the answer broke off.
    """
    reasons = {index: finish_reason(word, calls_tools=index in answer.calling) for index, word in words.items()}
    if not reasons or not answer.seen <= reasons.keys():
        raise UpstreamError(otherwise)
    return reasons


class StreamEvidence:
    """Watches the provider's own events behind LiteLLM's stream."""

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self._by_index: dict[int, str] = {}
        self._dropping = False
        if wrapper.completion_stream is not None and hasattr(wrapper.completion_stream, "__aiter__"):
            wrapper.completion_stream = self._watched(wrapper.completion_stream)

    async def _watched(self, events: AsyncIterator[Any]) -> AsyncIterator[Any]:
        async for event in events:
            if self._dropping:
                # Without a pause: in a pause more would come in, and a fast provider would be read to its end.
                continue
            for choice in getattr(event, "choices", None) or ():
                if word := getattr(choice, "finish_reason", None):
                    self._by_index[choice.index] = word
            yield event

    def drop_the_rest(self) -> None:
        """From here on events are not worth LiteLLM's reading, only fit to be got out of the way."""
        self._dropping = True

    def reasons(self, answer: AnswerReader) -> Mapping[int, str]:
        """By choice index, once the stream has ended.

        Raises:
            UpstreamError: the provider never said that it had finished, or said that the answer broke off.
        """
        words = self._by_index
        if not words and self._wrapper.received_finish_reason is not None:
            # Providers whose events have a shape of their own; they have one choice.
            words = dict.fromkeys(answer.seen or {0}, self._wrapper.received_finish_reason)
        return _judged(words, answer, otherwise="The model's provider ended its answer without having finished it.")


class BodyEvidence:
    """Sees the body of an answer in one piece, as LiteLLM's `logger_fn`: its own response says `stop` for null."""

    def __init__(self) -> None:
        self._body: str | None = None

    def __call__(self, details: Mapping[str, Any]) -> None:
        """Called by LiteLLM with what it knows so far."""
        body = details.get("original_response")
        if isinstance(body, str):
            self._body = body

    def reasons(self, choices: Any, answer: AnswerReader) -> Mapping[int, str]:
        """By choice index.

        Raises:
            UpstreamError: the provider never said that it had finished, or said that the answer broke off.
        """
        words = self._words({choice.index: choice.finish_reason for choice in choices if choice.finish_reason})
        return _judged(words, answer, otherwise="The model's provider sent something that is not a whole answer.")

    def _words(self, told: dict[int, str]) -> dict[int, str]:
        """What the body says; what LiteLLM told where the body has a shape of its own."""
        try:
            body = json.loads(self._body or "")
        except ValueError:
            return told
        if not isinstance(body, dict):
            return told
        if isinstance(body.get("choices"), list):
            said = {place: choice.get("finish_reason") for place, choice in enumerate(body["choices"])}
            return {index: word for index, word in said.items() if word}
        for name in ("stop_reason", "stopReason"):
            if name in body:
                return told if body[name] else {}
        return told
