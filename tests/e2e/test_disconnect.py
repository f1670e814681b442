"""A client that leaves stops what it would have paid for: the upstream's own view of it."""

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.served import BIN, PROVIDER_KEY, Served, clean_environment, models_file, sent, serving
from tests.upstreams import Scenario, Upstream

HOLDS = Scenario(hold_after=2)
WIRES = ("openai", "anthropic", "bedrock")
wires = pytest.mark.parametrize("wire", WIRES)


def left_within_a_second(upstream: Upstream, since: float) -> bool:
    seen = upstream.last
    assert seen.left.wait(5), "the upstream connection stayed open"
    assert seen.left_at is not None
    return seen.left_at - since < 1.0


def ask(wire: str, *, stream: bool) -> dict[str, Any]:
    return {"model": wire, "stream": stream, "messages": [{"role": "user", "content": "hold"}]}


@wires
def test_leaving_a_stream_closes_the_upstream(wire: str, served: Served, upstream: Upstream) -> None:
    upstream.plays(HOLDS)
    count = len(served.usage_lines())
    with httpx.stream(
        "POST", f"{served.base_url}/chat/completions", json=ask(wire, stream=True), headers=served.headers, timeout=30
    ) as answer:
        request_id = answer.headers["x-request-id"]
        assert any("from" in line for line in answer.iter_lines())
        left_at = time.monotonic()
    assert left_within_a_second(upstream, left_at)
    line = served.awaited_usage(count=count + 1)
    assert (line["request_id"], line["outcome"]) == (request_id, "client_gone")
    # The provider never said what it sold: two words are estimated.
    assert line["usage.source"] == "estimated"
    assert line["gen_ai.usage.output_tokens"] == 3


@wires
def test_leaving_before_a_collected_answer_is_whole_closes_the_upstream(
    wire: str, served: Served, upstream: Upstream
) -> None:
    upstream.plays(HOLDS)
    count = len(served.usage_lines())
    with sent(served, "/v1/chat/completions", ask(wire, stream=False), served.headers):
        upstream.awaited()
    assert left_within_a_second(upstream, time.monotonic())
    assert served.awaited_usage(count=count + 1)["outcome"] == "client_gone"


@wires
@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.anyio
async def test_closing_the_connection_of_an_mcp_call_closes_the_upstream(
    wire: str, mode: Any, served: Served, upstream: Upstream
) -> None:
    upstream.plays(HOLDS)
    count = len(served.usage_lines())
    began = anyio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        if message and "Hello" in message:
            began.set()

    async with httpx2.AsyncClient(headers=served.headers, timeout=30) as http:
        async with Client(streamable_http_client(served.mcp_url, http_client=http), mode=mode) as client:
            async with anyio.create_task_group() as tasks:

                async def call() -> None:
                    arguments = {"messages": [{"content": "hold"}], "model": wire}
                    await client.call_tool("chat", arguments, progress_callback=on_progress)

                tasks.start_soon(call)
                with anyio.fail_after(10):
                    await began.wait()
                left_at = time.monotonic()
                await http.aclose()
                tasks.cancel_scope.cancel()
            assert await anyio.to_thread.run_sync(left_within_a_second, upstream, left_at)
    assert served.awaited_usage(count=count + 1)["outcome"] == "client_gone"


@pytest.fixture(scope="module")
def in_one_piece(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose /mcp answers in JSON, as behind a front that cannot stream."""
    folder = tmp_path_factory.mktemp("json")
    with serving(folder, models_file(shared_upstream.url), ZEROGATE_MCP_STREAM="false") as server:
        yield server


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
def test_leaving_an_mcp_call_in_one_piece_closes_the_upstream(
    version: str, in_one_piece: Served, upstream: Upstream
) -> None:
    upstream.plays(HOLDS)
    count = len(in_one_piece.usage_lines())
    headers = {**in_one_piece.headers, "accept": "application/json", "mcp-protocol-version": version}
    headers |= {"mcp-method": "tools/call", "mcp-name": "chat"}
    meta = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    arguments = {"messages": [{"content": "hold"}], "model": "openai"}
    params = {"name": "chat", "arguments": arguments, **({"_meta": meta} if version > "2026" else {})}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    with sent(in_one_piece, "/mcp", message, headers):
        upstream.awaited()
    assert left_within_a_second(upstream, time.monotonic())
    line = in_one_piece.awaited_usage(count=count + 1)
    assert (line["outcome"], line["streamed"]) == ("client_gone", False)


@pytest.fixture
def stdio(upstream: Upstream, tmp_path: Any) -> Iterator[subprocess.Popen[bytes]]:
    (tmp_path / "models.json").write_text(json.dumps(models_file(upstream.url)))
    with (
        (tmp_path / "stderr.txt").open("wb") as log,
        subprocess.Popen(
            [str(BIN / "zerogate"), "mcp", "--models", str(tmp_path / "models.json")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=clean_environment(tmp_path, PLANTED_KEY=PROVIDER_KEY),
        ) as process,
    ):
        yield process
        process.kill()


@pytest.mark.parametrize(
    ("wire", "how"), [*((wire, "a cancel notification") for wire in WIRES), ("openai", "a closed pipe")]
)
def test_cancelling_over_stdio_closes_the_upstream(
    wire: str, how: str, stdio: subprocess.Popen[bytes], upstream: Upstream
) -> None:
    upstream.plays(HOLDS)
    assert stdio.stdin
    assert stdio.stdout

    def say(message: dict[str, Any]) -> None:
        assert stdio.stdin
        stdio.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        stdio.stdin.flush()

    info = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    say({"id": 1, "method": "initialize", "params": info})
    assert json.loads(stdio.stdout.readline())["result"]["serverInfo"]["name"] == "zerogate"
    say({"method": "notifications/initialized"})
    arguments = {"messages": [{"role": "user", "content": "hold"}], "model": wire}
    params = {"name": "chat", "arguments": arguments, "_meta": {"progressToken": "p"}}
    say({"id": 2, "method": "tools/call", "params": params})
    for line in iter(stdio.stdout.readline, b""):
        if "Hello" in json.loads(line)["params"]["message"]:
            break
    left_at = time.monotonic()
    if how == "a closed pipe":
        stdio.stdin.close()
    else:
        say({"method": "notifications/cancelled", "params": {"requestId": 2}})
    assert left_within_a_second(upstream, left_at)
