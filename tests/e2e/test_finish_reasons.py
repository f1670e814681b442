"""Finish reasons as providers really give them, or fail to: nothing but a known finish counts as one."""

import json
from typing import Any

import openai
import pytest

from tests.served import Served
from tests.upstreams import Scenario, Upstream

ASK: Any = [{"role": "user", "content": "x"}]


def sse(*events: Any, done: bool = True) -> Scenario:
    """OpenAI's wire: chunks given as (index, delta, finish) triples, or whole events."""
    lines = [
        event
        if isinstance(event, dict)
        else {"choices": [{"index": event[0], "delta": event[1], "finish_reason": event[2]}]}
        for event in events
    ]
    frames = [
        f"data: {json.dumps({'id': 'c', 'object': 'chat.completion.chunk', 'created': 1, **x})}\n\n" for x in lines
    ]
    return raw("".join(frames) + ("data: [DONE]\n\n" if done else ""), "text/event-stream")


def raw(body: str, content_type: str = "application/json") -> Scenario:
    return Scenario(raw=body.encode(), raw_type=content_type)


def said(text: str) -> dict[str, str]:
    return {"content": text}


def ask(served: Served, model: str, **more: Any) -> Any:
    return served.client().chat.completions.create(model=model, messages=ASK, **more)


def anthropic(stop_reason: str) -> Scenario:
    usage = {"input_tokens": 5, "output_tokens": 1}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [], "usage": usage}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    ]
    return raw("".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events), "text/event-stream")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("tool_use", "tool_calls"),
    ],
)
def test_anthropics_words_become_openais(word: str, expected: str, served: Served, upstream: Upstream) -> None:
    upstream.plays(anthropic(word))
    assert ask(served, "anthropic").choices[0].finish_reason == expected


@pytest.mark.parametrize("word", ["pause_turn", "error", "something_new"])
def test_a_word_of_anthropics_that_is_no_finish_is_a_failure(word: str, served: Served, upstream: Upstream) -> None:
    upstream.plays(anthropic(word))
    with pytest.raises(openai.APIStatusError) as failure:
        ask(served, "anthropic")
    assert failure.value.status_code == 502


@pytest.mark.parametrize("word", ["insufficient_system_resource", "abort", "error", "network_error", "something_new"])
@pytest.mark.parametrize("wire", ["openai", "compatible"])
def test_a_word_of_an_openai_server_that_is_no_finish_is_a_failure(
    wire: str, word: str, served: Served, upstream: Upstream
) -> None:
    upstream.plays(sse((0, said("a"), None), (0, {}, word)))
    with pytest.raises(openai.APIStatusError) as failure:
        ask(served, wire)
    assert failure.value.status_code == 502


@pytest.mark.parametrize("wire", ["openai", "compatible"])
def test_each_choice_keeps_its_own_finish(wire: str, served: Served, upstream: Upstream) -> None:
    upstream.plays(sse((0, said("a"), None), (1, said("b"), None), (0, {}, "stop"), (1, {}, "length")))
    assert [c.finish_reason for c in ask(served, wire, n=2).choices] == ["stop", "length"]
    upstream.plays(sse((0, said("a"), None), (1, {}, "content_filter"), (0, {}, "stop")))
    assert [c.finish_reason for c in ask(served, wire, n=2).choices] == ["stop", "content_filter"]


@pytest.mark.parametrize("wire", ["openai", "compatible"])
@pytest.mark.parametrize("done", [True, False])
def test_a_choice_that_never_finishes_fails_the_answer(
    wire: str, done: bool, served: Served, upstream: Upstream
) -> None:
    upstream.plays(sse((0, said("a"), None), (1, said("b"), None), (0, {}, "stop"), done=done))
    with pytest.raises(openai.APIStatusError):
        ask(served, wire, n=2)


@pytest.mark.parametrize("wire", ["plain-openai", "plain-compatible", "plain-azure"])
@pytest.mark.parametrize("choices", [[None], ["missing"], ["stop", None], ["error"]])
def test_a_plain_answer_that_did_not_finish_is_a_failure(
    wire: str, choices: list[str | None], served: Served, upstream: Upstream
) -> None:
    bodies: list[dict[str, Any]] = [
        {"index": i, "message": {"role": "assistant", "content": "a"}, "finish_reason": word}
        for i, word in enumerate(choices)
    ]
    for body in bodies:
        if body["finish_reason"] == "missing":
            del body["finish_reason"]
    answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": bodies}
    upstream.plays(raw(json.dumps(answer)))
    with pytest.raises(openai.APIStatusError) as failure:
        ask(served, wire, n=len(choices))
    assert failure.value.status_code == 502


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (
            "plain-anthropic",
            {
                "id": "m",
                "type": "message",
                "role": "assistant",
                "model": "c",
                "content": [{"type": "text", "text": "a"}],
                "stop_reason": None,
                "usage": {"input_tokens": 1, "output_tokens": 1},
            },
        ),
        (
            "plain-bedrock",
            {
                "output": {"message": {"role": "assistant", "content": [{"text": "a"}]}},
                "stopReason": None,
                "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2},
            },
        ),
    ],
)
def test_so_is_one_in_the_other_providers_shapes(wire: str, body: Any, served: Served, upstream: Upstream) -> None:
    upstream.plays(raw(json.dumps(body)))
    with pytest.raises(openai.APIStatusError) as failure:
        ask(served, wire)
    assert failure.value.status_code == 502


def tool(id_: str, name: str, arguments: str, **index: int) -> dict[str, Any]:
    call = {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}, **index}
    return {"tool_calls": [call]}


@pytest.mark.parametrize("index", [{}, {"index": 0}], ids=["no index", "one index for all"])
def test_tool_calls_of_servers_that_do_not_number_them_stay_apart(
    index: dict[str, int], served: Served, upstream: Upstream
) -> None:
    upstream.plays(
        sse((0, tool("a", "f", "{}", **index), None), (0, tool("b", "g", "[1]", **index), None), (0, {}, "stop"))
    )
    choice = ask(served, "compatible").choices[0]
    assert [(c.id, c.function.name, c.function.arguments) for c in choice.message.tool_calls] == [
        ("a", "f", "{}"),
        ("b", "g", "[1]"),
    ]
    assert choice.finish_reason == "tool_calls"


def test_a_refusal_inside_the_stream_before_any_text_keeps_its_meaning(served: Served, upstream: Upstream) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    upstream.plays(raw(f"event: error\ndata: {json.dumps(error)}\n\n", "text/event-stream"))
    with pytest.raises(openai.APIStatusError) as failure:
        ask(served, "anthropic", stream=True)
    assert failure.value.status_code in {502, 503}
    assert "x-should-retry" not in failure.value.response.headers


def test_usage_that_was_reported_counts_although_the_answer_is_not_whole(served: Served, upstream: Upstream) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
    upstream.plays(sse((0, said("a"), None), {"choices": [], "usage": usage}))
    with pytest.raises(openai.APIStatusError) as failure:
        ask(served, "openai")
    line = served.usage_of(str(failure.value.request_id))
    assert (line["outcome"], line["usage.source"], line["gen_ai.usage.output_tokens"]) == ("failed", "reported", 4)


def test_a_piece_that_comes_two_hundred_times_is_no_failure(served: Served, upstream: Upstream) -> None:
    upstream.plays(Scenario(words=("-----",), flood=200))
    assert ask(served, "openai").choices[0].message.content == "-----" * 200
