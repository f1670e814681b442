"""The MCP surface with the official client: both protocol eras, over HTTP and over stdio."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from tests.served import BIN, Served, clean_environment, serving

pytestmark = pytest.mark.anyio
HELLO: Any = [{"role": "user", "content": "Hello wide world"}]
modes = pytest.mark.parametrize("mode", ["auto", "legacy", "2026-07-28"])
transports = pytest.mark.parametrize("transport", ["http", "stdio"])


@asynccontextmanager
async def connected(served: Served, folder: Path, transport: str, mode: Any) -> AsyncIterator[Client]:
    if transport == "stdio":
        # The catalog's own file: the demo model alone.
        parameters = StdioServerParameters(
            command=str(BIN / "zerogate"), args=["mcp"], env=clean_environment(folder), cwd=folder
        )
        with (folder / "stderr.txt").open("w") as log:
            async with Client(stdio_client(parameters, errlog=log), mode=mode) as client:
                yield client
        return
    async with httpx2.AsyncClient(headers=served.headers, timeout=30) as http:
        async with Client(streamable_http_client(served.mcp_url, http_client=http), mode=mode) as client:
            yield client


@transports
@modes
async def test_the_three_tools_are_there_with_schemas(
    transport: str, mode: str, served: Served, tmp_path: Path
) -> None:
    async with connected(served, tmp_path, transport, mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"chat", "completion", "list_models"}
    assert all(tool.output_schema and tool.title and tool.annotations for tool in tools.values())
    assert tools["chat"].input_schema["required"] == ["messages"]


@transports
@modes
async def test_chat_answers_whole_and_brings_the_text_as_progress(
    transport: str, mode: str, served: Served, tmp_path: Path
) -> None:
    reports: list[tuple[float, str]] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, message or ""))

    async with connected(served, tmp_path, transport, mode) as client:
        result = await client.call_tool("chat", {"messages": HELLO}, progress_callback=on_progress)
    assert not result.is_error
    answer = result.structured_content or {}
    assert answer["text"] == "Hello wide world"
    assert answer["model"] == "demo/echo"
    assert answer["finish_reason"] == "stop"
    assert answer["usage"]["output_tokens"] == 3
    assert getattr(result.content[0], "text", None) == "Hello wide world"
    assert reports[0][1] == "waiting for the model"
    assert "".join(text for _, text in reports[1:]) == "Hello wide world"
    assert [done for done, _ in reports] == sorted({done for done, _ in reports})


@transports
async def test_completion_takes_a_prompt(transport: str, served: Served, tmp_path: Path) -> None:
    async with connected(served, tmp_path, transport, "auto") as client:
        result = await client.call_tool("completion", {"prompt": "one two three", "max_tokens": 2})
    assert (result.structured_content or {})["text"] == "one two"
    assert (result.structured_content or {})["finish_reason"] == "length"


@transports
async def test_list_models_names_what_the_key_may_use(transport: str, served: Served, tmp_path: Path) -> None:
    async with connected(served, tmp_path, transport, "auto") as client:
        result = await client.call_tool("list_models", {"provider": "demo"})
    models = (result.structured_content or {})["models"]
    assert models[0] == {
        "id": "demo/echo",
        "provider": "demo",
        "context_window": 1_000_000,
        "max_output_tokens": 1_000_000,
    }


@transports
@modes
async def test_an_unknown_tool_is_a_protocol_error(transport: str, mode: str, served: Served, tmp_path: Path) -> None:
    async with connected(served, tmp_path, transport, mode) as client:
        with pytest.raises(MCPError) as failure:
            await client.call_tool("nothing", {})
    assert failure.value.code == -32602


@modes
async def test_a_wrong_argument_is_named_without_its_value(mode: str, served: Served, tmp_path: Path) -> None:
    count = len(served.usage_lines())
    async with connected(served, tmp_path, "http", mode) as client:
        for arguments, param in (
            ({"messages": HELLO, "model": "openai/" + "b" * 300}, "model"),
            ({"messages": [{"role": "user", "content": {"marked": "marked-5521"}}]}, "messages[0].content"),
            ({"messages": "marked-5521"}, "messages"),
            ({"messages": HELLO, "temperature": "marked-5521"}, "temperature"),
            ({}, "messages"),
        ):
            result = await client.call_tool("chat", arguments)
            assert result.is_error
            assert "marked-5521" not in result.model_dump_json()
            assert (result.meta or {})["zerogate/error"]["param"] == param
    assert [line["outcome"] for line in served.usage_lines()[count:]] == ["refused"] * 5


async def test_forty_calls_at_once_each_get_their_own_answer(served: Served, tmp_path: Path) -> None:
    import anyio

    answers: dict[int, str] = {}

    async def ask(client: Client, number: int) -> None:
        text = f"this is number {number} of forty"
        result = await client.call_tool("chat", {"messages": [{"content": text}], "model": "demo/slow"})
        answers[number] = (result.structured_content or {})["text"]

    async with connected(served, tmp_path, "http", "auto") as client, anyio.create_task_group() as tasks:
        for number in range(40):
            tasks.start_soon(ask, client, number)
    assert answers == {number: f"this is number {number} of forty" for number in range(40)}


async def test_stdio_keeps_stdout_for_the_protocol_and_writes_usage_to_stderr(served: Served, tmp_path: Path) -> None:
    async with connected(served, tmp_path, "stdio", "legacy") as client:
        await client.call_tool("chat", {"messages": HELLO})
    lines = [json.loads(x) for x in (tmp_path / "stderr.txt").read_text().splitlines() if x.startswith("{")]
    assert [(line["surface"], line["outcome"], line["owner"]) for line in lines] == [("mcp", "complete", "local")]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
async def test_only_post_is_answered_at_mcp(method: str, served: Served) -> None:
    answer = httpx.request(method, served.mcp_url, headers={**served.headers, "accept": "text/event-stream"}, timeout=5)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_a_notification_gets_an_empty_202(served: Served) -> None:
    headers = {**served.headers, "accept": "application/json, text/event-stream"}
    message = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    answer = httpx.post(served.mcp_url, json=message, headers=headers)
    assert (answer.status_code, answer.content) == (202, b"")
    assert "x-request-id" in answer.headers


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"jsonrpc": "2.0"}', b"\xff", b"[" * 50_000])
async def test_a_malformed_message_is_a_4xx_and_no_trace(body: bytes, served: Served) -> None:
    headers = {**served.headers, "accept": "application/json, text/event-stream", "content-type": "application/json"}
    answer = httpx.post(served.mcp_url, content=body, headers=headers)
    assert 400 <= answer.status_code < 500
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": 1, "method": 5, "params": {"api_key": "marked-5521"}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ["marked-5521"]},
        {"jsonrpc": "2.0", "id": {"a": "marked-5521"}, "method": "ping"},
        {"id": 1, "method": "marked-5521"},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": {"a": "marked-5521"}}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "chat", "arguments": ["marked-5521"]}},
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "marked-5521", "arguments": {}}},
        [{"jsonrpc": "2.0", "id": 1, "method": "marked-5521"}],
    ],
)
async def test_a_message_of_the_wrong_shape_is_refused_without_an_echo(message: Any, served: Served) -> None:
    headers = {**served.headers, "accept": "application/json, text/event-stream"}
    answer = httpx.post(served.mcp_url, json=message, headers=headers)
    assert '"error"' in answer.text
    assert "marked-5521" not in answer.text
    assert "pydantic" not in answer.text


async def test_a_list_of_hosts_keeps_other_names_and_origins_out(tmp_path: Path) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    with serving(tmp_path, ZEROGATE_MCP_HOSTS="llm.example.com,127.0.0.1:*") as server:
        accepts = {**server.headers, "accept": "application/json, text/event-stream"}

        def status(**headers: str) -> int:
            return httpx.post(server.mcp_url, json=message, headers={**accepts, **headers}).status_code

        assert status() == 200
        assert status(host="llm.example.com") == 200
        assert status(host="evil.example.com") == 421
        assert status(origin="https://evil.example.com") == 403
