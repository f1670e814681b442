"""Every ending of a call, on both surfaces: what the client gets, and the one line that is written."""

import json
import socket
import time
from typing import Any

import httpx
import httpx2
import openai
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from tests.served import Served
from tests.upstreams import Scenario, Upstream

ASK: Any = [{"role": "user", "content": "go on"}]
HOLDS = Scenario(hold_after=2)


async def call_chat(server: Served, model: str) -> CallToolResult:
    async with httpx2.AsyncClient(headers=server.headers, timeout=30) as http:
        async with Client(streamable_http_client(server.mcp_url, http_client=http)) as client:
            return await client.call_tool("chat", {"messages": ASK, "model": model})


def test_a_stream_at_the_deadline_ends_as_a_marked_part(hasty: Served, upstream: Upstream) -> None:
    upstream.plays(HOLDS)
    stream = hasty.client().chat.completions.create(
        model="openai", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    request_id = stream.response.headers["x-request-id"]
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello from"
    *_, finish, usage = chunks
    assert finish.choices[0].finish_reason == "length"
    notice = (finish.model_extra or {})["zerogate"]["notice"]
    assert (notice["code"], notice["limit"]) == ("deadline", 1.5)
    assert 1.4 < notice["elapsed"] < 3
    assert usage.usage is not None
    assert usage.usage.completion_tokens == 3
    line = hasty.usage_of(request_id)
    assert (line["outcome"], line["notice_code"], line["usage.source"]) == ("partial", "deadline", "estimated")
    assert upstream.last.left.wait(2)


def test_a_collected_answer_at_the_deadline_is_the_part_that_came(hasty: Served, upstream: Upstream) -> None:
    upstream.plays(HOLDS)
    raw = hasty.client().chat.completions.with_raw_response.create(model="openai", messages=ASK)
    answer = raw.parse()
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hello from", "length")
    assert (answer.model_extra or {})["zerogate"]["notice"]["code"] == "deadline"
    assert hasty.usage_of(raw.headers["x-request-id"])["outcome"] == "partial"


@pytest.mark.parametrize("stream", [True, False])
def test_the_deadline_before_any_output_is_an_error_that_must_not_be_tried_again(
    stream: bool, hasty: Served, upstream: Upstream
) -> None:
    upstream.plays(Scenario(hold_after=0))
    client = hasty.client(max_retries=2)
    with pytest.raises(openai.APIError) as failure:
        answer = client.chat.completions.create(model="openai", messages=ASK, stream=stream)
        list(answer)
    assert failure.value.code == "gateway_timeout"
    assert len(upstream.seen) == 1
    if not stream:
        assert isinstance(failure.value, openai.APIStatusError)
        assert failure.value.status_code == 504


def test_a_stream_that_waits_sends_its_status_and_keep_alives_before_the_first_piece(
    hasty: Served, upstream: Upstream
) -> None:
    upstream.plays(Scenario(first_pause=0.8))
    started = time.monotonic()
    body = {"model": "openai", "messages": ASK, "stream": True}
    with httpx.stream(
        "POST", f"{hasty.base_url}/chat/completions", json=body, headers=hasty.headers, timeout=30
    ) as answer:
        assert answer.status_code == 200
        waited = time.monotonic() - started
        lines = [line for line in answer.iter_lines() if line]
    assert waited < 0.7
    assert lines[0] == ": waiting for the model"
    assert lines.index(next(line for line in lines if "Hello" in line)) >= 2
    assert lines[-1] == "data: [DONE]"


def test_a_failure_after_the_keep_alive_is_told_in_the_stream(hasty: Served, upstream: Upstream) -> None:
    upstream.plays(Scenario(first_pause=0.8, status=429))
    with pytest.raises(openai.APIError) as failure:
        list(hasty.client().chat.completions.create(model="openai", messages=ASK, stream=True))
    assert failure.value.code == "rate_limit_exceeded"


def test_a_reader_that_stops_reading_is_given_up_after_the_deadline(hasty: Served, upstream: Upstream) -> None:
    upstream.plays(Scenario(words=("x" * 4000,), flood=4000))
    count = len(hasty.usage_lines())
    body = json.dumps({"model": "openai", "messages": ASK, "stream": True})
    host, port = hasty.root.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {hasty.api_key}\r\n"
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        line = hasty.awaited_usage(count=count + 1)
    assert line["outcome"] == "client_gone"
    # The slow reader slowed the provider down: it was not read to its end into our memory.
    assert upstream.last.pieces_sent < 4000
    assert upstream.last.left.wait(2)


@pytest.mark.anyio
async def test_an_mcp_call_at_the_deadline_gives_the_part_with_the_notice(hasty: Served, upstream: Upstream) -> None:
    upstream.plays(HOLDS)
    count = len(hasty.usage_lines())
    result = await call_chat(hasty, "anthropic")
    assert not result.is_error
    answer = result.structured_content or {}
    assert (answer["text"], answer["finish_reason"]) == ("Hello from", "length")
    assert answer["notice"]["code"] == "deadline"
    line = hasty.awaited_usage(count=count + 1)
    assert (line["outcome"], line["surface"], line["endpoint"]) == ("partial", "mcp", "tools/chat")


@pytest.mark.anyio
async def test_an_mcp_call_whose_provider_fails_is_a_tool_error(hasty: Served, upstream: Upstream) -> None:
    upstream.plays(Scenario(die_after=2))
    count = len(hasty.usage_lines())
    result = await call_chat(hasty, "bedrock")
    assert result.is_error
    assert (result.meta or {})["zerogate/error"]["code"] == "upstream_error"
    assert hasty.awaited_usage(count=count + 1)["outcome"] == "failed"


@pytest.mark.anyio
async def test_an_mcp_call_for_an_unknown_model_names_the_tool_that_lists_them(hasty: Served) -> None:
    count = len(hasty.usage_lines())
    result = await call_chat(hasty, "nope")
    assert result.is_error
    assert "list_models" in getattr(result.content[0], "text", "")
    assert hasty.awaited_usage(count=count + 1)["outcome"] == "refused"


@pytest.mark.anyio
async def test_an_mcp_call_that_completes_is_written_down_with_what_the_provider_reported(
    hasty: Served, upstream: Upstream
) -> None:
    count = len(hasty.usage_lines())
    result = await call_chat(hasty, "openai")
    assert (result.structured_content or {})["usage"] == {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18}
    line = hasty.awaited_usage(count=count + 1)
    assert (line["outcome"], line["usage.source"], line["cost_usd"]) == ("complete", "reported", "0.00009375")


def test_the_line_is_written_before_the_last_byte(served: Served) -> None:
    """No waiting in between: when the client has the end, the line is there, stream after stream."""
    for _ in range(20):
        stream = served.client().chat.completions.create(model="demo/echo", messages=ASK, stream=True)
        list(stream)
        line = served.usage_of(stream.response.headers["x-request-id"])
        assert line["outcome"] == "complete"
        assert line["time_to_first_token_ms"] <= line["latency_ms"]


def test_usage_lines_hold_no_text_of_messages_and_no_secret(served: Served, upstream: Upstream) -> None:
    upstream.plays(Scenario(words=("marked-answer-text",)), Scenario(status=400, error_message="marked-prompt-text"))
    marked: Any = [{"role": "user", "content": "marked-prompt-text"}]
    served.client().chat.completions.create(model="openai", messages=marked)
    with pytest.raises(openai.BadRequestError):
        served.client().chat.completions.create(model="openai", messages=marked)
    with pytest.raises(openai.BadRequestError):
        served.client().chat.completions.create(model="openai", messages=marked, n="marked-prompt-text")  # type: ignore[call-overload]
    lines = json.dumps(served.usage_lines())
    for secret in ("marked-answer-text", "marked-prompt-text", served.api_key, "planted-provider-key"):
        assert secret not in lines
    log = served.log.read_text()
    for secret in ("marked-answer-text", served.api_key, served.api_key[19:62], "planted-provider-key"):
        assert secret not in log
