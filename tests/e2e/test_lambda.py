"""The product as Lambda runs it: the built artifact under the local front, with a clean environment."""

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import httpx2
import openai
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from bootstrap.local_cognito import LocalCognito
from infra_sam.archive import size_of
from infra_sam.build import LARGEST, MB
from tests.deployed import Deployed, artifact, deployed
from tests.front import events
from tests.served import models_file
from tests.upstreams import Scenario, Upstream

HELLO: Any = [{"role": "user", "content": "Hello wide world"}]
CRAWL: Any = [{"role": "user", "content": "word " * 100}]
Deploy = Callable[..., Deployed]


def models(upstream: Upstream) -> dict[str, Any]:
    catalog = models_file(upstream.url)
    catalog["model_list"].append({"model_name": "crawl", "litellm_params": {"model": "demo/echo", "delay": 0.2}})
    catalog["model_list"].append({"model_name": "late", "litellm_params": {"model": "demo/echo", "delay": 2.5}})
    return catalog


@pytest.fixture(scope="session")
def function(
    shared_upstream: Upstream, cognito: LocalCognito, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """A deployment with ordinary settings and one environment."""
    with deployed(tmp_path_factory.mktemp("function"), cognito, models(shared_upstream)) as running:
        yield running


@pytest.fixture
def deploy(upstream: Upstream, cognito: LocalCognito, tmp_path: Path) -> Iterator[Deploy]:
    """Makes deployments with settings of their own."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(deployed(tmp_path, cognito, models(upstream), **options))


def test_the_artifact_is_small_and_holds_no_source() -> None:
    tree = artifact()
    assert size_of(tree) <= LARGEST[False] == 140 * MB
    assert not list(tree.rglob("*.py"))
    assert os.access(tree / "run.sh", os.X_OK)


@pytest.mark.parametrize("model", ["demo/echo", "openai", "bedrock", "anthropic"])
def test_the_openai_client_streams_and_does_not(model: str, function: Deployed, upstream: Upstream) -> None:
    client = function.client()
    expected = "Hello wide world" if model == "demo/echo" else Scenario().text
    raw = client.chat.completions.with_raw_response.create(model=model, messages=HELLO)
    choice = raw.parse().choices[0]
    assert (choice.message.content, choice.finish_reason) == (expected, "stop")
    line = function.usage_of(raw.headers["x-request-id"])
    assert (line["outcome"], line["owner"], line["surface"]) == ("complete", "ana@example.com", "openai")
    stream = client.chat.completions.create(model=model, messages=HELLO, stream=True)
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == expected
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert function.usage_of(stream.response.headers["x-request-id"])["outcome"] == "complete"
    assert function.front.answers[-1].streamed


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_the_mcp_client_gets_progress_and_the_answer_in_both_eras(mode: Any, function: Deployed) -> None:
    reports: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        reports.append(message or "")

    async with httpx2.AsyncClient(headers=function.headers, timeout=60) as http:
        async with Client(streamable_http_client(f"{function.url}/mcp", http_client=http), mode=mode) as client:
            tools = await client.list_tools()
            result = await client.call_tool(
                "chat", {"messages": HELLO, "model": "demo/slow"}, progress_callback=on_progress
            )
    assert {tool.name for tool in tools.tools} == {"chat", "completion", "list_models"}
    assert (result.structured_content or {})["text"] == "Hello wide world"
    assert "".join(reports[1:]) == "Hello wide world"


def test_a_notification_is_an_empty_202(function: Deployed) -> None:
    accepts = {**function.headers, "accept": "application/json, text/event-stream"}
    notification = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    answer = httpx.post(f"{function.url}/mcp", json=notification, headers=accepts, timeout=60)
    assert (answer.status_code, answer.content) == (202, b"")


def test_head_preflight_and_refusals(function: Deployed) -> None:
    assert httpx.head(f"{function.url}/healthz").status_code == 200
    asked = {"origin": "https://x.example", "access-control-request-method": "POST"}
    preflight = httpx.options(f"{function.url}/v1/chat/completions", headers=asked)
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, "*")
    refused = httpx.get(f"{function.url}/v1/models")
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
    assert refused.headers["x-request-id"].startswith("req_")
    with pytest.raises(openai.AuthenticationError):
        function.client(api_key="wrong").models.list()
    data = {**function.headers, "content-type": "application/octet-stream"}
    binary = httpx.post(f"{function.url}/v1/chat/completions", content=b"\xff\xfe\x00", headers=data)
    assert (binary.status_code, binary.json()["error"]["code"]) == (400, "invalid_json")


def padded(size: int) -> bytes:
    """A chat request of exactly that many bytes."""
    head = b'{"model":"demo/echo","max_tokens":1,"messages":[{"role":"user","content":"a '
    tail = b'"}]}'
    return head + b"x" * (size - len(head) - len(tail)) + tail


def test_a_body_at_the_limit_is_taken_and_one_over_it_is_refused(function: Deployed) -> None:
    limit = 4 * 1024 * 1024
    headers = {**function.headers, "content-type": "application/json"}
    url = f"{function.url}/v1/chat/completions"
    assert httpx.post(url, content=padded(limit), headers=headers, timeout=60).status_code == 200
    refused = httpx.post(url, content=padded(limit + 1), headers=headers, timeout=60)
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")
    # Beyond Lambda's own limit our code never runs: the answer is API Gateway's, by the template.
    assert httpx.post(url, content=padded(7_000_000), headers=headers, timeout=60).status_code == 413


def test_thirty_requests_over_four_environments(deploy: Deploy) -> None:
    function = deploy(environments=4)

    def ask(number: int) -> str:
        body = {"model": "demo/slow", "messages": [{"role": "user", "content": f"number {number}"}]}
        answer = function.post(body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["choices"][0]["message"]["content"])

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, range(30)))
    assert answers == [f"number {number}" for number in range(30)]
    assert len(function.front.environments) == 4
    assert len([line for line in function.log_lines() if line["message"] == "usage"]) == 30


def test_an_upstream_that_fails_within_the_answer_ends_it_with_an_error(function: Deployed, upstream: Upstream) -> None:
    upstream.plays(Scenario(die_after=2))
    text = ""
    stream = function.client().chat.completions.create(model="openai", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError) as error:
        for chunk in stream:
            text += chunk.choices[0].delta.content or ""
    assert text == "Hello from"
    assert error.value.code == "upstream_error"
    line = function.usage_of(stream.response.headers["x-request-id"])
    assert (line["outcome"], line["error_code"]) == ("failed", "upstream_error")
    # To Lambda, all went well: the answer is whole, and says itself that the model failed.
    assert function.front.answers[-1].trailers == {}


@pytest.mark.parametrize("stream", [True, False])
def test_lambdas_deadline_cuts_an_answer_before_lambda_does(stream: bool, deploy: Deploy) -> None:
    function = deploy(seconds=4.0)
    client = function.client()
    if stream:
        chunks = list(client.chat.completions.create(model="crawl", messages=CRAWL, stream=True))
        text = "".join(c.choices[0].delta.content or "" for c in chunks)
        finish_reason, extra = chunks[-1].choices[0].finish_reason, chunks[-1].model_extra
    else:
        answer = client.chat.completions.create(model="crawl", messages=CRAWL)
        text, extra = answer.choices[0].message.content or "", answer.model_extra
        finish_reason = answer.choices[0].finish_reason
    assert text.startswith("word word")
    assert finish_reason == "length"
    notice = (extra or {})["zerogate"]["notice"]
    assert notice["code"] == "deadline"
    assert 2.8 <= notice["limit"] <= 3.0
    (line,) = [line for line in function.log_lines() if line["message"] == "usage"]
    assert (line["outcome"], line["notice_code"]) == ("partial", "deadline")
    assert client.models.list().data
    assert len(function.front.environments) == 1


def test_lambdas_deadline_before_any_output_is_a_504_in_our_words(deploy: Deploy) -> None:
    function = deploy(seconds=2.0)
    answer = function.post({"model": "late", "messages": HELLO})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "gateway_timeout")
    assert answer.headers["x-should-retry"] == "false"
    assert len(function.front.environments) == 1


def test_an_answer_in_one_piece_ends_before_the_gateways_patience(deploy: Deploy) -> None:
    """As 290 s is to API Gateway's five minutes, so is 1 s to this front's two."""
    function = deploy(idle_seconds=2.0, ZEROGATE_COLLECTED_SECONDS="1")
    answer = function.post({"model": "crawl", "messages": CRAWL}).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["zerogate"]["notice"]["code"] == "deadline"


def test_a_silent_stream_outlasts_the_gateways_patience(deploy: Deploy) -> None:
    function = deploy(idle_seconds=1.5, ZEROGATE_WAITING_SECONDS="0.3")
    chunks = list(function.client().chat.completions.create(model="late", messages=HELLO[:1], stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "Hello wide world"


def test_frozen_for_three_seconds_it_answers_as_before(cognito: LocalCognito, tmp_path: Path) -> None:
    """The provider gives up its idle connections meanwhile; the frozen process does not see it."""
    with Upstream(keep_alive=1) as upstream, deployed(tmp_path, cognito, models(upstream), freeze=True) as function:
        for wait in (3, 0):
            answer = function.post({"model": "openai", "messages": HELLO})
            assert answer.json()["choices"][0]["message"]["content"] == Scenario().text
            stream = function.client().chat.completions.create(model="bedrock", messages=HELLO, stream=True)
            assert list(stream)[-1].choices[0].finish_reason == "stop"
            function.front.call(function.front.settled())
            assert function.front.environments[0].frozen
            threading.Event().wait(wait)
        assert len(function.front.environments) == 1


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"ZEROGATE_STREAM_SECONDS": "soon", "ZEROGATE_MAX_REQUEST_BYTES": "1"}, "ZEROGATE_STREAM_SECONDS"),
        ({"ZEROGATE_MODELS_FILE": "/nowhere/models.yaml"}, "models.yaml"),
        ({"ZEROGATE_COGNITO_USER_POOL_ID": ""}, "ZEROGATE_COGNITO_USER_POOL_ID"),
    ],
)
def test_settings_that_cannot_be_used_are_an_init_error_that_names_them(
    environment: dict[str, str], said: str, deploy: Deploy
) -> None:
    function = deploy(**environment)
    environment_ = function.front.call(function.front.ready())
    function.front.call(environment_.exited.wait())
    assert said in environment_.init_error["errorMessage"]
    assert function.front.call(environment_.terminate()) == 1
    assert httpx.get(f"{function.url}/healthz").status_code == 502


def test_a_client_that_goes_away_is_not_noticed_and_the_call_is_written_down(function: Deployed) -> None:
    """Lambda does not tell the function: the call runs to its end, and is paid for."""
    before = len(function.front.answers)
    body = json.dumps({"model": "demo/slow", "messages": HELLO, "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {function.api_key}\r\n"
    with socket.create_connection(("127.0.0.1", int(function.url.rpartition(":")[2]))) as connection:
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert function.client().models.list().data
    assert function.front.answers[before].complete
    usage = [line for line in function.log_lines() if line["message"] == "usage"]
    assert usage[-1]["outcome"] == "complete"
    assert usage[-1]["gen_ai.usage.output_tokens"] == 3


@pytest.mark.parametrize("event", [events.v2], ids=["function url"])
def test_it_answers_behind_a_function_url_as_well(event: Any, deploy: Deploy) -> None:
    function = deploy(event=event)
    stream = function.client().chat.completions.create(model="demo/echo", messages=HELLO, stream=True)
    assert list(stream)[-1].choices[0].finish_reason == "stop"


def test_it_answers_in_one_piece_where_the_integration_does_not_stream(deploy: Deploy) -> None:
    function = deploy(buffered=True, ZEROGATE_RESPONSE_MODE="buffered")
    answer = function.client().chat.completions.create(model="demo/echo", messages=HELLO)
    assert answer.choices[0].message.content == "Hello wide world"
    stream = function.client().chat.completions.create(model="demo/echo", messages=HELLO, stream=True)
    assert list(stream)[-1].choices[0].finish_reason == "stop"


def test_a_malformed_body_and_a_failing_app_answer_with_the_products_error_object(deploy: Deploy) -> None:
    function = deploy(event=lambda head, body: {**events.v1(head, body), "body": "abcde", "isBase64Encoded": True})
    answer = function.post({})
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    mcp = function.post({}, path="/mcp")
    assert (mcp.status_code, mcp.json()["jsonrpc"]) == (400, "2.0")


def test_no_credential_shows_in_the_log(function: Deployed, upstream: Upstream) -> None:
    upstream.plays(Scenario(status=401, error_message=f"bad key {function.api_key}"))
    assert function.post({"model": "openai", "messages": HELLO}).status_code == 502
    log = function.front.log()
    assert function.api_key not in log
    assert "planted-provider-key" not in log
    assert all(isinstance(line, dict) for line in function.log_lines())
