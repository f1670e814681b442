"""The official OpenAI client against the demo model: no network, no provider, LiteLLM never loaded."""

import json
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import openai
import pytest
from openai.types.chat import ChatCompletionToolParam
from pydantic import BaseModel, Field

from tests.contract.schemas import violations
from tests.served import Served

HELLO = [{"role": "user", "content": "Hello wide world"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def test_the_sync_client_gets_a_whole_answer_that_fits_openais_schema(served: Served) -> None:
    raw = served.client().chat.completions.with_raw_response.create(
        model="demo/echo", messages=[{"role": "user", "content": "Hello wide world"}]
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == "Hello wide world"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3
    assert violations("CreateChatCompletionResponse", raw.http_response.json()) == []


def test_the_sync_client_streams_word_by_word(served: Served) -> None:
    stream = served.client().chat.completions.create(
        model="demo/echo", messages=[{"role": "user", "content": "Hello wide world"}], stream=True
    )
    chunks = list(stream)
    assert [c.choices[0].delta.content for c in chunks if c.choices[0].delta.content] == ["Hello", " wide", " world"]
    assert [c.choices[0].finish_reason for c in chunks] == [None, None, None, None, "stop"]
    assert {(c.id, c.created, c.model) for c in chunks} == {(chunks[0].id, chunks[0].created, "demo/echo")}
    assert all("usage" not in c.model_fields_set for c in chunks)


@pytest.mark.anyio
async def test_the_async_client_streams_with_usage_in_the_last_chunk(served: Served) -> None:
    async with served.async_client() as client:
        stream = await client.chat.completions.create(
            model="demo/echo",
            messages=[{"role": "user", "content": "Hello wide world"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3
    assert all(chunk.usage is None and "usage" in chunk.model_fields_set for chunk in chunks[:-1])
    assert [violations("CreateChatCompletionStreamResponse", c.model_dump(exclude_unset=True)) for c in chunks] == [
        [] for _ in chunks
    ]


def test_the_demo_model_answers_with_a_tool_call_when_its_text_names_the_tool(served: Served) -> None:
    answer = served.client().chat.completions.create(
        model="demo/echo", messages=[{"role": "user", "content": "use get_weather"}], tools=[WEATHER]
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    call = (answer.choices[0].message.tool_calls or [])[0]
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "use get_weather"}')


def test_only_the_first_piece_of_a_streamed_tool_call_has_id_type_and_name(served: Served) -> None:
    stream = served.client().chat.completions.create(
        model="demo/echo", messages=[{"role": "user", "content": "use get_weather"}], tools=[WEATHER], stream=True
    )
    calls = [d for chunk in stream for d in chunk.choices[0].delta.tool_calls or []]
    first, *rest = (call.model_dump(exclude_unset=True) for call in calls)
    assert first["index"] == 0
    assert first["id"]
    assert first["type"] == "function"
    assert first["function"]["name"] == "get_weather"
    assert rest
    assert all(set(piece) == {"index", "function"} and set(piece["function"]) == {"arguments"} for piece in rest)


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Part(BaseModel):
    name: str
    count: int = Field(ge=5)
    parts: list["Part"] = []
    parent: "Part | None" = None


class Order(BaseModel):
    id: UUID
    colour: Colour
    first: Part
    rest: list[Part]
    price: float = Field(gt=10, le=12)
    note: str | None
    size: Literal["s", "m"]
    tags: list[str] = Field(min_length=2)


def test_the_demo_model_fills_the_shapes_that_the_sdk_parses(served: Served) -> None:
    answer = served.client().chat.completions.parse(
        model="demo/echo", messages=[{"role": "user", "content": "an order"}], response_format=Order
    )
    order = answer.choices[0].message.parsed
    assert order is not None
    assert (order.note, order.colour, order.first.count) == ("an order", Colour.RED, 5)


def test_the_demo_model_fills_tool_arguments_the_same_way(served: Served) -> None:
    tools = [openai.pydantic_function_tool(Order)]
    answer = served.client().chat.completions.parse(
        model="demo/echo", messages=[{"role": "user", "content": "x"}], tools=tools, tool_choice="required"
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, Order)


@pytest.mark.parametrize(
    "schema",
    [
        {"enum": []},
        {"type": "object", "required": True},
        {"properties": 5},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"anyOf": []},
        {"anyOf": [5]},
        {"type": ["null"]},
        {"type": 7},
        {"type": "integer", "minimum": "x"},
        {"type": "string", "minLength": -1, "maxLength": "x"},
        {"type": "array", "minItems": 10**9, "items": {"type": "array", "minItems": 10**9}},
    ],
)
def test_a_strange_schema_gets_some_answer(schema: Any, served: Served) -> None:
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    answer = served.client().chat.completions.create(
        model="demo/echo", messages=[{"role": "user", "content": "x"}], response_format=wanted
    )
    assert answer.choices[0].finish_reason == "stop"
    json.loads(answer.choices[0].message.content or "")


def test_a_token_limit_cuts_the_answer_with_the_reason_length(served: Served) -> None:
    answer = served.client().chat.completions.create(
        model="demo/echo", messages=[{"role": "user", "content": "one two three four"}], max_completion_tokens=2
    )
    assert answer.choices[0].message.content == "one two"
    assert answer.choices[0].finish_reason == "length"


def test_several_choices_each_have_their_own_ending(served: Served) -> None:
    stream = served.client().chat.completions.create(
        model="demo/echo", messages=[{"role": "user", "content": "a b"}], n=2, stream=True
    )
    ends = {(c.index, c.finish_reason) for chunk in stream for c in chunk.choices if c.finish_reason}
    assert ends == {(0, "stop"), (1, "stop")}


def test_models_are_listed_and_found_by_ids_with_slashes(served: Served) -> None:
    listed = served.client().models.list()
    assert {"demo/echo", "openai", "bedrock", "gpt-alias", "openai/gpt-4o"} <= {model.id for model in listed}
    assert violations("ListModelsResponse", listed.model_dump()) == []
    assert served.client().models.retrieve("demo/echo").owned_by == "demo"
    assert served.client().models.retrieve("openai/gpt-4o").id == "openai/gpt-4o"


def test_an_error_carries_the_request_id_that_the_log_has(served: Served) -> None:
    with pytest.raises(openai.NotFoundError) as failure:
        served.client().chat.completions.create(model="nope", messages=[{"role": "user", "content": "x"}])
    assert failure.value.code == "model_not_found"
    assert failure.value.request_id is not None
    assert served.usage_of(failure.value.request_id)["outcome"] == "refused"
