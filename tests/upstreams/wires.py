"""The providers' wire formats: OpenAI (and Azure) SSE, Anthropic SSE, Bedrock's binary event stream."""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from tests.upstreams.scenario import Scenario


class Wire(Protocol):
    """A provider's way to put an answer into bytes."""

    content_type: str

    def head(self, scenario: Scenario) -> list[bytes]:
        """What comes before the first piece."""

    def pieces(self, scenario: Scenario) -> Iterator[bytes]:
        """One item for each piece of the answer."""

    def tail(self, scenario: Scenario) -> list[bytes]:
        """Finish reason, usage, end marker."""

    def plain(self, scenario: Scenario) -> dict[str, Any]:
        """The same answer in one JSON body."""

    def error(self, scenario: Scenario) -> dict[str, Any]:
        """The body of a refusal."""


def _sse(body: object, event: str | None = None) -> bytes:
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {json.dumps(body)}\n\n".encode()


class OpenAIWire:
    """POST /v1/chat/completions, as OpenAI and Azure OpenAI speak it."""

    content_type = "text/event-stream"

    def _chunk(self, choices: list[dict[str, Any]], **more: object) -> bytes:
        return _sse(
            {
                "id": "chatcmpl-up",
                "object": "chat.completion.chunk",
                "created": 1_795_000_000,
                "model": "gpt-up",
                "system_fingerprint": "fp_up",
                "choices": choices,
                "usage": None,
                **more,
            }
        )

    def _delta(self, delta: dict[str, Any], finish: str | None = None, index: int = 0) -> bytes:
        return self._chunk([{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}])

    def head(self, scenario: Scenario) -> list[bytes]:
        return [self._delta({"role": "assistant", "content": ""}, index=i) for i in range(scenario.choices)]

    def pieces(self, scenario: Scenario) -> Iterator[bytes]:
        if scenario.tool is None:
            for _ in range(scenario.flood):
                for word in scenario.words:
                    for index in range(scenario.choices):
                        yield self._delta({"content": word}, index=index)
            return
        name, arguments = scenario.tool
        first = {"index": 0, "id": "call_up1", "type": "function", "function": {"name": name, "arguments": ""}}
        yield self._delta({"tool_calls": [first]})
        for piece in arguments:
            yield self._delta({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})

    def _finish(self, scenario: Scenario) -> str:
        return "tool_calls" if scenario.tool else "stop"

    def _usage(self, scenario: Scenario) -> dict[str, Any]:
        return {
            "prompt_tokens": scenario.input_tokens,
            "completion_tokens": scenario.output_tokens,
            "total_tokens": scenario.input_tokens + scenario.output_tokens,
            "prompt_tokens_details": {"cached_tokens": scenario.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": 2},
        }

    def tail(self, scenario: Scenario) -> list[bytes]:
        finish = [self._delta({}, self._finish(scenario), index=i) for i in range(scenario.choices)]
        return [*finish, self._chunk([], usage=self._usage(scenario)), b"data: [DONE]\n\n"]

    def plain(self, scenario: Scenario) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": scenario.text, "refusal": None}
        if scenario.tool:
            name, arguments = scenario.tool
            function = {"name": name, "arguments": "".join(arguments)}
            message |= {"content": None, "tool_calls": [{"id": "call_up1", "type": "function", "function": function}]}
        return {
            "id": "chatcmpl-up",
            "object": "chat.completion",
            "created": 1_795_000_000,
            "model": "gpt-up",
            "choices": [
                {"index": i, "message": message, "logprobs": None, "finish_reason": self._finish(scenario)}
                for i in range(scenario.choices)
            ],
            "usage": self._usage(scenario),
        }

    def error(self, scenario: Scenario) -> dict[str, Any]:
        return {
            "error": {
                "message": scenario.error_message,
                "type": "invalid_request_error",
                "param": None,
                "code": scenario.error_code,
            }
        }


class AnthropicWire:
    """POST /v1/messages."""

    content_type = "text/event-stream"

    def head(self, scenario: Scenario) -> list[bytes]:
        block = (
            {"type": "tool_use", "id": "toolu_up1", "name": scenario.tool[0], "input": {}}
            if scenario.tool
            else {"type": "text", "text": ""}
        )
        usage = {
            "input_tokens": scenario.input_tokens - scenario.cached_tokens,
            "cache_read_input_tokens": scenario.cached_tokens,
            "cache_creation_input_tokens": 0,
            "output_tokens": 1,
        }
        message: dict[str, Any] = {
            "id": "msg_up",
            "type": "message",
            "role": "assistant",
            "model": "claude-up",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        return [
            _sse({"type": "message_start", "message": message}, "message_start"),
            _sse({"type": "content_block_start", "index": 0, "content_block": block}, "content_block_start"),
            _sse({"type": "ping"}, "ping"),
        ]

    def pieces(self, scenario: Scenario) -> Iterator[bytes]:
        if scenario.tool is None:
            deltas = [{"type": "text_delta", "text": word} for word in scenario.words] * scenario.flood
        else:
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in scenario.tool[1]]
        for delta in deltas:
            yield _sse({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")

    def _stop(self, scenario: Scenario) -> str:
        return "tool_use" if scenario.tool else "end_turn"

    def tail(self, scenario: Scenario) -> list[bytes]:
        delta = {"stop_reason": self._stop(scenario), "stop_sequence": None}
        usage = {"output_tokens": scenario.output_tokens}
        return [
            _sse({"type": "content_block_stop", "index": 0}, "content_block_stop"),
            _sse({"type": "message_delta", "delta": delta, "usage": usage}, "message_delta"),
            _sse({"type": "message_stop"}, "message_stop"),
        ]

    def plain(self, scenario: Scenario) -> dict[str, Any]:
        content: dict[str, Any] = {"type": "text", "text": scenario.text}
        if scenario.tool:
            name, arguments = scenario.tool
            content = {"type": "tool_use", "id": "toolu_up1", "name": name, "input": json.loads("".join(arguments))}
        return {
            "id": "msg_up",
            "type": "message",
            "role": "assistant",
            "model": "claude-up",
            "content": [content],
            "stop_reason": self._stop(scenario),
            "stop_sequence": None,
            "usage": {
                "input_tokens": scenario.input_tokens - scenario.cached_tokens,
                "cache_read_input_tokens": scenario.cached_tokens,
                "cache_creation_input_tokens": 0,
                "output_tokens": scenario.output_tokens,
            },
        }

    def error(self, scenario: Scenario) -> dict[str, Any]:
        return {"type": "error", "error": {"type": "api_error", "message": scenario.error_message}}


def event_stream_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message of `application/vnd.amazon.eventstream`: lengths, headers, payload, two CRC-32s."""
    head = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", 7, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    body = prelude + struct.pack("!I", zlib.crc32(prelude)) + head + payload
    return body + struct.pack("!I", zlib.crc32(body))


def _event(kind: str, payload: object) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return event_stream_frame(headers, json.dumps(payload).encode())


class BedrockWire:
    """POST /model/{id}/converse and /converse-stream."""

    content_type = "application/vnd.amazon.eventstream"

    def head(self, scenario: Scenario) -> list[bytes]:
        start: list[bytes] = [_event("messageStart", {"role": "assistant"})]
        if scenario.tool:
            tool = {"toolUse": {"toolUseId": "tooluse_up1", "name": scenario.tool[0]}}
            start.append(_event("contentBlockStart", {"contentBlockIndex": 0, "start": tool}))
        return start

    def pieces(self, scenario: Scenario) -> Iterator[bytes]:
        if scenario.tool is None:
            deltas: list[dict[str, Any]] = [{"text": word} for word in scenario.words] * scenario.flood
        else:
            deltas = [{"toolUse": {"input": piece}} for piece in scenario.tool[1]]
        for delta in deltas:
            yield _event("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta})

    def _stop(self, scenario: Scenario) -> str:
        return "tool_use" if scenario.tool else "end_turn"

    def _usage(self, scenario: Scenario) -> dict[str, Any]:
        return {
            "inputTokens": scenario.input_tokens - scenario.cached_tokens,
            "cacheReadInputTokens": scenario.cached_tokens,
            "cacheWriteInputTokens": 0,
            "outputTokens": scenario.output_tokens,
            "totalTokens": scenario.input_tokens + scenario.output_tokens,
        }

    def tail(self, scenario: Scenario) -> list[bytes]:
        return [
            _event("contentBlockStop", {"contentBlockIndex": 0}),
            _event("messageStop", {"stopReason": self._stop(scenario)}),
            _event("metadata", {"usage": self._usage(scenario), "metrics": {"latencyMs": 5}}),
        ]

    def plain(self, scenario: Scenario) -> dict[str, Any]:
        content: dict[str, Any] = {"text": scenario.text}
        if scenario.tool:
            name, arguments = scenario.tool
            content = {"toolUse": {"toolUseId": "tooluse_up1", "name": name, "input": json.loads("".join(arguments))}}
        return {
            "output": {"message": {"role": "assistant", "content": [content]}},
            "stopReason": self._stop(scenario),
            "usage": self._usage(scenario),
            "metrics": {"latencyMs": 5},
        }

    def error(self, scenario: Scenario) -> dict[str, Any]:
        return {"message": scenario.error_message}
