"""Each provider's real wire format, through the served application with the official client."""

import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionToolParam

from tests.served import PROVIDER_KEY, Served
from tests.upstreams import Scenario, Upstream

WIRES = ("openai", "azure", "anthropic", "bedrock", "compatible")
ASK: Any = [{"role": "user", "content": "Say hello"}]
TEXT = "Hello from the loopback upstream"
TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}},
}
CALLS_ADD = Scenario(tool=("add", ['{"a"', ": 1}"]))

wires = pytest.mark.parametrize("wire", WIRES)


@wires
def test_a_stream_brings_each_piece_the_finish_and_the_reported_usage(
    wire: str, served: Served, upstream: Upstream
) -> None:
    stream = served.client().chat.completions.create(
        model=wire, messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content] == [
        "Hello",
        " from",
        " the",
        " loopback",
        " upstream",
    ]
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (11, 7)
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 3
    assert len({chunk.created for chunk in chunks}) == 1
    assert upstream.last.streamed


@wires
def test_a_collected_answer_is_the_stream_put_together(wire: str, served: Served, upstream: Upstream) -> None:
    raw = served.client().chat.completions.with_raw_response.create(model=wire, messages=ASK)
    answer = raw.parse()
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 7)
    assert upstream.last.streamed
    line = served.usage_of(raw.headers["x-request-id"])
    assert (line["outcome"], line["usage.source"]) == ("complete", "reported")
    assert line["gen_ai.usage.cache_read_tokens"] == 3


@wires
def test_a_tool_call_comes_through_streamed_and_collected(wire: str, served: Served, upstream: Upstream) -> None:
    upstream.plays(CALLS_ADD)
    answer = served.client().chat.completions.create(model=wire, messages=ASK, tools=[TOOL])
    call = (answer.choices[0].message.tool_calls or [])[0]
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("add", {"a": 1})
    assert answer.choices[0].finish_reason == "tool_calls"

    chunks = list(served.client().chat.completions.create(model=wire, messages=ASK, tools=[TOOL], stream=True))
    pieces = [d.model_dump(exclude_unset=True) for c in chunks for d in c.choices[0].delta.tool_calls or []]
    assert pieces[0]["id"]
    assert pieces[0]["function"]["name"] == "add"
    assert all("id" not in piece and "name" not in piece["function"] for piece in pieces[1:])
    assert json.loads("".join(piece["function"]["arguments"] for piece in pieces)) == {"a": 1}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


@wires
@pytest.mark.parametrize(
    ("upstream_status", "ours", "code"),
    [(429, 429, "rate_limit_exceeded"), (500, (502, 503), None), (401, 502, "upstream_error"), (404, 502, None)],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal_before_the_first_chunk_keeps_its_meaning(
    wire: str,
    upstream_status: int,
    ours: int | tuple[int, ...],
    code: str | None,
    stream: bool,
    served: Served,
    upstream: Upstream,
) -> None:
    upstream.plays(Scenario(status=upstream_status, headers={"retry-after": "7"}, error_message="scripted failure"))
    with pytest.raises(openai.APIStatusError) as failure:
        served.client().chat.completions.create(model=wire, messages=ASK, stream=stream)
    assert failure.value.status_code in (ours if isinstance(ours, tuple) else (ours,))
    assert code in {None, failure.value.code}
    assert PROVIDER_KEY not in failure.value.message
    assert len(upstream.seen) == 1, "LiteLLM must not try again by itself"
    if upstream_status == 429:
        assert failure.value.response.headers["retry-after"] == "7"
    assert failure.value.request_id is not None
    assert served.usage_of(failure.value.request_id)["outcome"] == "failed"


@wires
def test_a_bad_request_tells_what_the_provider_says_without_its_wrapping(
    wire: str, served: Served, upstream: Upstream
) -> None:
    upstream.plays(Scenario(status=400, error_message="temperature is too hot, see https://internal.example/x"))
    with pytest.raises(openai.BadRequestError) as failure:
        served.client().chat.completions.create(model=wire, messages=ASK)
    assert "temperature is too hot" in failure.value.message
    assert "litellm" not in failure.value.message.lower()
    assert "internal.example" not in failure.value.message
    assert failure.value.request_id is not None
    assert served.usage_of(failure.value.request_id)["outcome"] == "refused"


@wires
def test_an_upstream_that_dies_mid_stream_ends_in_an_error_that_the_sdk_raises(
    wire: str, served: Served, upstream: Upstream
) -> None:
    upstream.plays(Scenario(die_after=2))
    got: list[str] = []
    with pytest.raises(openai.APIError) as failure:
        for chunk in served.client().chat.completions.create(model=wire, messages=ASK, stream=True):
            got.append(chunk.choices[0].delta.content or "")
            assert chunk.choices[0].finish_reason is None
    assert "".join(got) == "Hello from"
    assert failure.value.code == "upstream_error"


@wires
@pytest.mark.parametrize(
    "scenario",
    [Scenario(die_after=2), Scenario(end_after=2), Scenario(raw=b"<html>gateway</html>"), Scenario(raw=b"")],
    ids=["dies", "ends without a finish", "an HTML page", "an empty body"],
)
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_is_never_faked_complete(
    wire: str, scenario: Scenario, stream: bool, served: Served, upstream: Upstream
) -> None:
    upstream.plays(scenario)
    before = len(served.usage_lines())
    with pytest.raises(openai.APIError):
        answer = served.client().chat.completions.create(model=wire, messages=ASK, stream=stream)
        if isinstance(answer, openai.Stream):
            list(answer)
    lines = served.usage_lines()[before:]
    assert [line["outcome"] for line in lines] == ["failed"]


@wires
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("scenario", [Scenario(), CALLS_ADD], ids=["text", "a tool call"])
def test_a_deployment_that_is_asked_plainly_gives_the_same_answer(
    wire: str, scenario: Scenario, stream: bool, served: Served, upstream: Upstream
) -> None:
    upstream.plays(scenario)
    body = {"messages": ASK, "tools": [TOOL], "stream": stream, "stream_options": {"include_usage": True}}

    def ask(model: str) -> Any:
        answer = served.post({"model": model, **body})
        events = [json.loads(e[6:]) for e in answer.text.split("\n\n") if e.startswith("data: {")]
        events = events or [answer.json()]
        choices = [choice for event in events for choice in event["choices"]]
        said = [choice.get("delta", choice.get("message")) for choice in choices]
        calls = [call["function"] for one in said for call in one.get("tool_calls", ())]
        return {
            "text": "".join(one.get("content") or "" for one in said),
            "names": [call["name"] for call in calls if "name" in call],
            "arguments": json.loads("".join(call["arguments"] for call in calls) or "null"),
            "finish": [choice["finish_reason"] for choice in choices if choice["finish_reason"]],
            "usage": {**events[-1]["usage"], "completion_tokens_details": None},
        }

    assert ask(f"plain-{wire}") == ask(wire)
    assert [seen.streamed for seen in upstream.seen] == [False, True]


@wires
@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(raw=b"<html>gateway</html>"),
        Scenario(raw=b""),
        Scenario(raw=b"{}"),
        Scenario(raw=b'{"id": "x", "object": "chat.completion", "choices": []}'),
        Scenario(status=429),
        Scenario(status=500),
    ],
    ids=["an HTML page", "an empty body", "an empty object", "no choices", "429", "500"],
)
def test_a_plain_upstream_that_sends_no_answer_is_a_failure(
    wire: str, scenario: Scenario, served: Served, upstream: Upstream
) -> None:
    upstream.plays(scenario)
    with pytest.raises(openai.APIStatusError) as failure:
        served.client().chat.completions.create(model=f"plain-{wire}", messages=ASK)
    assert failure.value.status_code in {429, 502, 503}
    assert failure.value.request_id is not None
    assert served.usage_of(failure.value.request_id)["outcome"] == "failed"


def test_a_deployment_that_cannot_be_reached_falls_back_before_the_first_chunk(
    served: Served, upstream: Upstream
) -> None:
    raw = served.client().chat.completions.with_raw_response.create(model="falls-back", messages=ASK)
    assert raw.parse().choices[0].message.content == TEXT
    assert upstream.last.path == "/v1/messages"
    line = served.usage_of(raw.headers["x-request-id"])
    assert (line["attempts"], line["gen_ai.request.model"]) == (2, "falls-back")
    assert line["gen_ai.response.model"] == "anthropic/claude-sonnet-4-5"


def test_once_a_chunk_went_out_there_is_no_falling_back(served: Served, upstream: Upstream) -> None:
    upstream.plays(Scenario(die_after=1))
    with pytest.raises(openai.APIError):
        list(served.client().chat.completions.create(model="spread", messages=ASK, stream=True))
    assert len(upstream.seen) == 1


def test_deployments_of_one_name_share_the_calls_and_stand_in_for_each_other(
    served: Served, upstream: Upstream
) -> None:
    for _ in range(16):
        served.client().chat.completions.create(model="spread", messages=ASK)
    assert {seen.body["model"] for seen in upstream.seen} == {"first", "second"}
    upstream.reset()
    upstream.plays(Scenario(status=429), Scenario())
    assert served.client().chat.completions.create(model="spread", messages=ASK).choices[0].message.content == TEXT
    assert {seen.body["model"] for seen in upstream.seen} == {"first", "second"}


def test_a_wildcard_entry_passes_the_callers_model_on(served: Served, upstream: Upstream) -> None:
    served.client().chat.completions.create(model="openai/gpt-4.1-mini", messages=ASK)
    assert upstream.last.body["model"] == "gpt-4.1-mini"


def test_an_alias_is_another_name_and_the_answer_carries_the_callers(served: Served, upstream: Upstream) -> None:
    answer = served.client().chat.completions.create(model="gpt-alias", messages=ASK)
    assert answer.model == "gpt-alias"
    assert upstream.last.body["model"] == "gpt-4o"


def test_the_cost_is_the_price_lists_with_cached_tokens_at_their_own_price(served: Served, upstream: Upstream) -> None:
    raw = served.client().chat.completions.with_raw_response.create(model="openai", messages=ASK)
    # gpt-4o: $2.50 in, $1.25 cached, $10.00 out per million; 8 + 3 cached + 7 tokens.
    assert served.usage_of(raw.headers["x-request-id"])["cost_usd"] == "0.00009375"


def test_every_parameter_on_the_list_arrives_and_nothing_else_does(served: Served, upstream: Upstream) -> None:
    asked = {"temperature": 0.5, "seed": 7, "max_tokens": 9, "stop": ["x"], "user": "u", "top_p": 0.9}
    planted = {
        "api_base": "http://127.0.0.1:1",
        "base_url": "http://127.0.0.1:1",
        "api_key": "planted-by-caller",
        "api_version": "planted-by-caller",
        "aws_access_key_id": "planted-by-caller",
        "aws_region_name": "planted-by-caller",
        "aws_bedrock_runtime_endpoint": "http://127.0.0.1:1",
        "vertex_credentials": "planted-by-caller",
        "extra_headers": {"x-planted": "planted-by-caller"},
        "headers": {"x-planted": "planted-by-caller"},
        "extra_body": {"planted": "planted-by-caller"},
        "custom_llm_provider": "anthropic",
        "mock_response": "planted-by-caller",
        "fallbacks": ["planted-by-caller"],
        "num_retries": 5,
        "timeout": 0.001,
        "callbacks": ["planted-by-caller"],
        "metadata": {"planted": "planted-by-caller"},
        "proxy_server_request": {"planted": "planted-by-caller"},
        "drop_params": False,
    }
    for wire in WIRES:
        upstream.seen.clear()
        body = {"model": wire, "messages": ASK, **asked, **planted}
        answer = served.post(body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["choices"][0]["message"]["content"] == TEXT
        seen = upstream.last
        everything = json.dumps([seen.path, seen.query, seen.headers, seen.body])
        assert "planted-by-caller" not in everything
        assert not {"extra_headers", "mock_response", "fallbacks", "drop_params"} & seen.body.keys()
        # LiteLLM's own place for `user` at Anthropic; the caller's metadata is not in it.
        assert seen.body.get("metadata") in (None, {"user_id": "u"})
    upstream.seen.clear()
    served.post({"model": "openai", "messages": ASK, **asked, **planted})
    assert asked.items() <= upstream.last.body.items()
    assert upstream.last.body.keys() == {"model", "messages", "stream", "stream_options", *asked}
    assert upstream.last.headers["authorization"] == f"Bearer {PROVIDER_KEY}"


def test_unknown_fields_inside_messages_do_not_reach_the_provider(served: Served, upstream: Upstream) -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "x", "api_base": "p"}], "planted": "p"}
    assert served.post({"model": "openai", "messages": [message]}).status_code == 200
    assert upstream.last.body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "x"}]}]


def test_several_choices_of_a_provider_are_kept_apart(served: Served, upstream: Upstream) -> None:
    upstream.plays(Scenario(choices=2))
    answer = served.client().chat.completions.create(model="openai", messages=ASK, n=2)
    assert [c.message.content for c in answer.choices] == [TEXT, TEXT]
    assert [c.finish_reason for c in answer.choices] == ["stop", "stop"]


@pytest.mark.parametrize("wire", ["anthropic"])
def test_a_turn_after_a_tool_call_asks_for_no_thinking_that_it_cannot_continue(
    wire: str, served: Served, upstream: Upstream
) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    history = [
        *ASK,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "1"},
    ]
    body = {"model": wire, "tools": [TOOL], "reasoning_effort": "low"}
    assert served.post({**body, "messages": ASK}).status_code == 200
    assert "thinking" in upstream.last.body
    assert served.post({**body, "messages": history}).status_code == 200
    assert "thinking" not in upstream.last.body


def test_a_credential_that_a_provider_quotes_is_neither_shown_nor_logged(served: Served, upstream: Upstream) -> None:
    for status in (400, 401, 404, 500):
        upstream.plays(Scenario(status=status, error_message=f"bad key {PROVIDER_KEY} given"))
        for wire in WIRES:
            with pytest.raises(openai.APIStatusError) as failure:
                served.client().chat.completions.create(model=wire, messages=ASK)
            assert PROVIDER_KEY not in failure.value.message
    assert PROVIDER_KEY not in served.log.read_text()


def test_what_a_provider_quotes_of_a_prompt_is_not_logged(served: Served, upstream: Upstream) -> None:
    for status in (400, 413, 422, 429, 500, 503):
        upstream.plays(Scenario(status=status, error_message="you said marked-prompt-7741"))
        for wire in WIRES:
            with pytest.raises(openai.APIStatusError):
                served.client().chat.completions.create(model=wire, messages=ASK)
    call = {"id": "a", "type": "function", "function": {"name": "add", "arguments": "{marked-prompt-7741"}}
    history = [*ASK, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "a", "content": "1"}]
    upstream.reset()
    for wire in WIRES:
        served.post({"model": wire, "messages": history})
    assert "marked-prompt-7741" not in served.log.read_text()
