"""Small rules on text: addresses, redaction, provider messages, chunks, estimates."""

import json
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.logs import RedactingFormatter
from gateway.chat_types import ChatRequest, ChoiceDelta, Ending, ToolCallDelta, Usage
from gateway.errors import GatewayError
from gateway.estimate import input_tokens
from gateway.redaction import without_details, without_secrets
from openai_facade.aliases import canonical
from openai_facade.chat_wire import ChunkWriter
from openai_facade.errors import render
from providers.litellm_failures import provider_text
from providers.price_list import LiteLLMPriceList
from providers.public_network import is_public
from tests.contract.schemas import violations

KEY = "sk-zg_example0key1_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2quVrM"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/chat/completions/", "/v1/chat/completions"),
        ("/v1/v1/models/a/b:c", "/v1/models/a/b:c"),
        ("/openai/v1/models/", "/v1/models"),
        ("/v1/models/v1/models", "/v1/models/v1/models"),
        ("/v1/v1/v1/models", "/v1/v1/v1/models"),
        ("/v1/admin/v1/keys", "/v1/admin/v1/keys"),
        ("/admin/v1/keys", "/admin/v1/keys"),
        ("/v1/mcp", "/v1/mcp"),
        ("/chatter", "/chatter"),
        ("/", "/"),
    ],
)
def test_only_known_resources_have_aliases(path: str, expected: str) -> None:
    assert canonical(path) == expected


@given(st.text(alphabet="/v1apchtmodelsnix.%", max_size=40))
def test_a_canonical_path_is_its_own_canonical_path(path: str) -> None:
    assert canonical(canonical(path)) == canonical(path)


@given(
    st.sampled_from(["/admin", "/v1/admin", "/mcp", "/admin/v1/keys", "/v1/admin/keys"]), st.text("/v1.", max_size=8)
)
def test_no_spelling_leads_to_administration_or_mcp(target: str, noise: str) -> None:
    for path in (noise + target, target + noise, f"/v1{noise}{target}", f"/api/v1{target}", f"/openai/v1{target}"):
        found = canonical(path)
        assert found == path or not found.startswith(("/admin", "/v1/admin", "/mcp"))


@pytest.mark.parametrize(
    "text",
    [
        f"key {KEY} leaked",
        f"Authorization: Bearer {KEY}",
        "x-api-key: abcdef0123456789",
        "{'api_key': 'abcdef0123456789'}",
        "AKIAIOSFODNN7EXAMPLE",
        "https://h/p?key=abcdef0123456789&x=1",
        "https://h/p?X-Amz-Signature=abcdef0123456789",
        "sk-proj-abcdef0123456789",
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdef0123456789",
    ],
)
def test_whatever_looks_like_a_credential_is_taken_out(text: str) -> None:
    for secret in (KEY, "abcdef0123456789", "AKIAIOSFODNN7EXAMPLE"):
        assert secret not in without_secrets(text)


def test_ordinary_text_stays_as_it_is() -> None:
    text = "usage record of request req_0123456789abcdef: k_example0key1, sk-zg_example0key1_*** in 12 ms"
    assert without_secrets(text).replace("[redacted]", "") in text or "k_example0key1" in without_secrets(text)
    assert (
        without_details("The temperature 0.7 of model gpt-4o is fine.")
        == "The temperature 0.7 of model gpt-4o is fine."
    )


def test_what_a_caller_sees_has_no_addresses_and_no_account_numbers() -> None:
    text = without_details("arn:aws:iam::123456789012:role/x at https://internal.example/x, account 123456789012")
    assert "123456789012" not in text
    assert "internal.example" not in text


def test_the_log_redacts_arguments_and_traces() -> None:
    import logging

    record = logging.LogRecord("n", logging.ERROR, "f", 1, "said %s", (KEY,), None)
    try:
        raise ValueError(KEY)
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    assert KEY not in RedactingFormatter(logging.Formatter("%(message)s")).format(record)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("litellm.BadRequestError: OpenAIException - too hot", "too hot"),
        ("litellm.RateLimitError: RateLimitError: OpenAIException - slow", "slow"),
        ('litellm.BadRequestError: AnthropicException - b\'{"type":"error","error":{"message":"no"}}\'', "no"),
        ('litellm.BadRequestError: BedrockException - {"message":"no"}', "no"),
        ("AzureException BadRequestError - no. Handle with `litellm.BadRequestError`.", "no"),
        ("Hosted_vllmException - " + json.dumps({"error": "plain"}), "plain"),
        ("litellm.BadRequestError: x " + "y" * 900, "x " + "y" * 297 + "…"),
        ("litellm.APIError: XException - Unable to parse, Original Response: marked", "Unable to parse"),
        ("litellm.APIError: OpenAIException - Empty. Received: 'marked'. Check it", "Empty"),
        ("b'", "b'"),
        ("", ""),
    ],
)
def test_a_providers_sentence_is_unwrapped(text: str, expected: str) -> None:
    class Theirs(Exception):
        message = text

    assert provider_text(Theirs()) == expected


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:4700::1", True),
        ("::ffff:93.184.216.34", True),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("198.18.0.1", False),
        ("192.0.2.1", False),
        ("240.0.0.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("2001:0:a00:1::", False),
        ("fec0::1", False),
        ("3fff::1", False),
        ("192.88.99.1", False),
    ],
)
def test_public_addresses_are_told_from_the_rest(address: str, public: bool) -> None:
    assert is_public(ip_address(address)) is public


def events(data: bytes) -> list[Any]:
    return [json.loads(e[6:]) for e in data.decode().split("\n\n") if e.startswith("data: {")]


@given(st.lists(st.text(max_size=5), max_size=6), st.booleans())
def test_every_chunk_fits_openais_schema(texts: list[str], include_usage: bool) -> None:
    writer = ChunkWriter(id_="i", created=1, model="m", include_usage=include_usage)
    data = b"".join(writer.pieces((ChoiceDelta(index=n % 2, content=t),)) for n, t in enumerate(texts))
    data += writer.ending(Ending(finish_reasons={0: "stop", 1: "length"}, usage=Usage(input_tokens=1)))
    chunks = events(data)
    assert all(violations("CreateChatCompletionStreamResponse", chunk) == [] for chunk in chunks)
    said = "".join(c["delta"].get("content", "") for chunk in chunks for c in chunk["choices"])
    assert sorted(said) == sorted("".join(texts))
    assert data.endswith(b"data: [DONE]\n\n")


def test_a_split_emoji_does_not_break_the_stream() -> None:
    writer = ChunkWriter(id_="i", created=1, model="m", include_usage=False)
    (_, chunk) = events(writer.pieces((ChoiceDelta(content="\ud83d"),)))
    assert chunk["choices"][0]["delta"]["content"] == "\ud83d"


def test_parallel_tool_calls_are_each_named_once() -> None:
    writer = ChunkWriter(id_="i", created=1, model="m", include_usage=False)
    pieces = [
        ToolCallDelta(index=0, id="a", name="f"),
        ToolCallDelta(index=1, id="b", name="g"),
        ToolCallDelta(index=0, arguments="{}"),
        ToolCallDelta(index=1, arguments="{}"),
    ]
    chunks = [c for piece in pieces for c in events(writer.pieces((ChoiceDelta(tool_calls=(piece,)),)))]
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert [call.get("id") for call in calls] == ["a", "b", None, None]
    assert [set(call) for call in calls[2:]] == [{"index", "function"}] * 2


def all_errors(kind: type[GatewayError]) -> list[type[GatewayError]]:
    return [kind, *(e for sub in kind.__subclasses__() for e in all_errors(sub))]


@pytest.mark.parametrize("kind", all_errors(GatewayError))
def test_every_error_of_the_tree_renders_to_openais_shape(kind: type[GatewayError]) -> None:
    special: dict[str, dict[str, Any]] = {
        "MethodNotAllowed": {"allow": "GET"},
        "AnswerTooLarge": {"limit": 1},
        "RequestTooLarge": {"limit": 1, "size": 2},
        "DeadlineExceeded": {"limit_seconds": 1.0},
    }
    status, headers, body = render(kind(**special.get(kind.__name__, {})))
    assert 400 <= status < 600
    assert violations("ErrorResponse", json.loads(body)) == []
    assert json.loads(body)["error"]["message"]
    assert int(headers.get("retry-after", 0)) <= 60


def test_the_estimate_counts_text_tool_calls_and_tool_definitions() -> None:
    request = ChatRequest(model="m", messages=[{"role": "user", "content": "x" * 400}])
    assert input_tokens(request) == 104
    parts = ChatRequest(model="m", messages=[{"role": "user", "content": [{"type": "text", "text": "é" * 200}]}])
    assert input_tokens(parts) == 104
    tools = ChatRequest(model="m", messages=[], params={"tools": [{"a": "b" * 392}]})
    assert input_tokens(tools) == 101


def test_the_price_list_is_read_without_its_package() -> None:
    facts = LiteLLMPriceList().facts("openai/gpt-4o")
    assert facts is not None
    assert facts.max_input_tokens == 128_000
    assert LiteLLMPriceList().facts("openai/no-such-model") is None
    assert all(name.startswith("anthropic/") for name in LiteLLMPriceList().chat_models("anthropic/"))


def test_litellms_request_dump_is_not_a_providers_sentence() -> None:
    error = SimpleNamespace(message="litellm.Timeout: Timeout - late", litellm_debug_info="Messages: secret")
    assert "secret" not in provider_text(error)  # type: ignore[arg-type]
