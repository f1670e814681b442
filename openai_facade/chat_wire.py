"""The gateway's answer in the wire format of chat completions: one JSON body, or chunks."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gateway.chat_types import ChatResult, Choice, ChoiceDelta, Ending, Notice, ToolCallDelta, Usage


def usage_json(usage: Usage) -> dict[str, Any]:
    """CompletionUsage."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def notice_json(notice: Notice) -> dict[str, Any]:
    """Why the answer is a part, beside the standard finish reason."""
    return {"zerogate": {"notice": asdict(notice)}}


def completion_json(result: ChatResult, *, id_: str, created: int, model: str) -> dict[str, Any]:
    """CreateChatCompletionResponse."""
    return {
        "id": id_,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [_choice_json(choice) for choice in result.choices],
        "usage": usage_json(result.usage),
        **(notice_json(result.notice) if result.notice else {}),
    }


def _choice_json(choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": choice.content, "refusal": choice.refusal}
    if choice.reasoning is not None:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in choice.tool_calls
        ]
    return {
        "index": choice.index,
        "message": message,
        "logprobs": choice.logprobs,
        "finish_reason": choice.finish_reason,
    }


class ChunkWriter:
    """Turns the pieces of one answer into SSE events. All chunks carry the same id, `created` and model."""

    def __init__(self, *, id_: str, created: int, model: str, include_usage: bool) -> None:
        self._frame: Mapping[str, Any] = {
            "id": id_,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        # OpenAI: with include_usage every chunk has the field, null until the last; without it no chunk has it.
        self._usage_field: Mapping[str, Any] = {"usage": None} if include_usage else {}
        self._include_usage = include_usage
        self._greeted: set[int] = set()
        self._named_calls: set[tuple[int, int]] = set()

    def pieces(self, deltas: tuple[ChoiceDelta, ...]) -> bytes:
        """What came in. A choice that was not seen before is opened with its role first."""
        opening = [delta.index for delta in deltas if delta.index not in self._greeted]
        return self._opening(opening) + b"".join(
            self._event([_piece(d.index, self._delta_json(d), logprobs=d.logprobs)]) for d in deltas
        )

    def ending(self, ending: Ending) -> bytes:
        """Finish reasons, the usage if it was asked for, and the end marker."""
        reasons = sorted(ending.finish_reasons.items())
        notice = notice_json(ending.notice) if ending.notice else {}
        end = self._opening([index for index, _ in reasons if index not in self._greeted])
        for index, reason in reasons:
            end += self._event([_piece(index, {}, finish_reason=reason)], **notice)
        if self._include_usage:
            end += _sse({**self._frame, "choices": [], "usage": usage_json(ending.usage)})
        return end + DONE

    def _opening(self, indexes: list[int]) -> bytes:
        self._greeted.update(indexes)
        return b"".join(self._event([_piece(index, {"role": "assistant", "content": ""})]) for index in indexes)

    def _delta_json(self, delta: ChoiceDelta) -> dict[str, Any]:
        said = {"content": delta.content, "reasoning_content": delta.reasoning, "refusal": delta.refusal}
        body: dict[str, Any] = {name: text for name, text in said.items() if text}
        if delta.tool_calls:
            body["tool_calls"] = [self._call_json(delta.index, call) for call in delta.tool_calls]
        return body

    def _call_json(self, choice: int, call: ToolCallDelta) -> dict[str, Any]:
        """The first piece has id, type and name; later ones must not have them, not even as null."""
        if (choice, call.index) in self._named_calls:
            return {"index": call.index, "function": {"arguments": call.arguments}}
        self._named_calls.add((choice, call.index))
        function = {"name": call.name or "", "arguments": call.arguments}
        return {"index": call.index, "id": call.id or f"call_{call.index}", "type": "function", "function": function}

    def _event(self, choices: list[dict[str, Any]], **more: object) -> bytes:
        return _sse({**self._frame, "choices": choices, **self._usage_field, **more})


DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": waiting for the model\n\n"


def error_event(body: Mapping[str, Any]) -> bytes:
    """A failure after the status went out: the SDKs raise it as an APIError after the pieces so far."""
    return _sse(body) + DONE


def _piece(
    index: int, delta: dict[str, Any], *, finish_reason: str | None = None, logprobs: object = None
) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}


def _sse(body: Mapping[str, Any]) -> bytes:
    return b"data: " + to_json(body) + b"\n\n"


def to_json(body: Mapping[str, Any]) -> bytes:
    """Compact UTF-8. A lone surrogate, which a model can cut an emoji into, stays an escape."""
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(body, separators=(",", ":")).encode()
