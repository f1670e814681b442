"""Whatever is sent: the right status, the error object, the request id; never a 500, a trace, or an echo of the key."""

import json
from typing import Any

import httpx
import pytest

from tests.contract.schemas import violations
from tests.served import Served

CHAT = "/v1/chat/completions"
OK = {"model": "demo/echo", "messages": [{"role": "user", "content": "x"}]}


def error_of(answer: httpx.Response) -> dict[str, Any]:
    assert "x-request-id" in answer.headers
    assert "Traceback" not in answer.text
    body = answer.json()
    assert violations("ErrorResponse", body) == []
    # Anthropic's clients look for this one.
    assert body["type"] == "error"
    error: dict[str, Any] = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error


def bent(**changes: Any) -> dict[str, Any]:
    return {**OK, **changes}


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (bent(messages=1), "messages", "invalid_type"),
        (bent(messages=[]), "messages", "invalid_type"),
        (bent(messages=[1]), "messages[0]", "invalid_type"),
        (bent(messages=[{"content": "x"}]), "messages[0]", "invalid_type"),
        (bent(messages=[{"role": "wizard", "content": "x"}]), "messages[0]", "invalid_type"),
        (bent(messages=[{"role": "user"}]), "messages[0].content", "missing_required_parameter"),
        (bent(messages=[{"role": "user", "content": None}]), "messages[0].content", "invalid_type"),
        (bent(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages[0].content[0].text", None),
        (bent(messages=[{"role": "user", "content": [{"type": "x"}]}]), "messages[0].content[0]", "invalid_type"),
        (
            bent(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]}]),
            "messages[0].content[0].image_url.url",
            "invalid_type",
        ),
        (
            bent(messages=[{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]),
            "messages[0].content[0].file.file_data",
            "missing_required_parameter",
        ),
        (bent(model=7), "model", "invalid_type"),
        (bent(model=""), "model", "invalid_type"),
        ({"messages": OK["messages"]}, "model", "missing_required_parameter"),
        (bent(temperature="hot"), "temperature", "invalid_type"),
        (bent(stream="yes"), "stream", "invalid_type"),
        (bent(n=0), "n", "invalid_type"),
        (bent(max_tokens=-1), "max_tokens", "invalid_type"),
        (bent(tools=[{"type": "function"}]), "tools[0].function", "missing_required_parameter"),
        (bent(tools={"a": 1}), "tools", "invalid_type"),
        (bent(stream_options=[]), "stream_options", "invalid_type"),
        (bent(response_format={"type": "json_schema"}), "response_format.json_schema", "missing_required_parameter"),
        (bent(response_format={"type": "xml"}), "response_format", "invalid_type"),
        (bent(tool_choice={"type": "function", "function": None}), "tool_choice.function", "invalid_type"),
        (bent(tool_choice="sometimes"), "tool_choice", "invalid_type"),
    ],
)
def test_a_wrong_field_is_named(body: Any, param: str, code: str | None, served: Served) -> None:
    answer = served.post(body)
    error = error_of(answer)
    assert answer.status_code == 400
    assert error["param"] == param
    assert code in {None, error["code"]}
    assert served.usage_of(answer.headers["x-request-id"])["outcome"] == "refused"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b'"x"', b"\xff\xfe", b"{" * 100_000, b"[" * 100_000, b'{"model": "\\ud800"}', b"NaN"],
    ids=["empty", "cut", "null", "array", "string", "not UTF-8", "deep", "deep array", "lone surrogate", "NaN"],
)
def test_a_body_that_is_no_json_object_is_a_400(body: bytes, served: Served) -> None:
    answer = httpx.post(served.root + CHAT, content=body, headers=served.headers)
    assert answer.status_code == 400
    assert error_of(answer)["code"] in {"invalid_json", "missing_required_parameter", "invalid_type"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("field", ['"temperature": %s', '"logit_bias": {"1": %s}'])
def test_what_is_no_number_is_the_callers_fault(field: str, number: str, served: Served) -> None:
    body = json.dumps(OK)[:-1] + f", {field % number}" + "}"
    answer = httpx.post(served.root + CHAT, content=body, headers=served.headers)
    assert answer.status_code == 400
    assert error_of(answer)["code"] in {"invalid_json", "invalid_type"}


def test_a_form_is_told_to_be_json(served: Served) -> None:
    answer = httpx.post(served.root + CHAT, data={"model": "demo/echo"}, headers=served.headers)
    assert answer.status_code == 415
    assert error_of(answer)["code"] == "unsupported_media_type"


def test_values_are_never_echoed(served: Served) -> None:
    marked = "marked-value-5521"
    bodies: list[Any] = [
        bent(temperature=marked),
        bent(messages=marked),
        bent(messages=[{"role": marked}]),
        bent(messages=[{"role": "user", "content": [{"type": marked}]}]),
        bent(stream_options={"include_usage": marked}),
        bent(model=marked),
    ]
    for body in bodies:
        answer = served.post(body)
        assert answer.status_code in {400, 404}
        assert marked not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "unknown_route"),
        ("POST", "/nothing", 404, "unknown_route"),
        ("GET", "/v1/chat", 404, "unknown_route"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("DELETE", "/v1/models/demo/echo", 405, "method_not_allowed"),
        ("GET", "/v1/models/nope", 404, "model_not_found"),
        ("GET", "/.well-known/oauth-authorization-server", 404, "unknown_route"),
        ("GET", "/.well-known/oauth-protected-resource/mcp", 404, "unknown_route"),
        ("GET", "/v1/%2e%2e/admin/v1/keys", 404, "unknown_route"),
        ("GET", "/admin/v1/keys", 405, "method_not_allowed"),
        ("GET", "/models/..%2f..%2fadmin", 404, "model_not_found"),
    ],
)
def test_unknown_addresses_and_methods_are_told_apart(
    method: str, path: str, status: int, code: str, served: Served
) -> None:
    answer = httpx.request(method, served.root + path, headers=served.headers)
    assert (answer.status_code, error_of(answer)["code"]) == (status, code)
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("prefix", ["/v1", "", "/v1/v1", "/openai/v1", "/api/v1"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_addresses_that_clients_build_wrongly_are_answered_directly(prefix: str, slash: str, served: Served) -> None:
    assert httpx.get(f"{served.root}{prefix}/models{slash}", headers=served.headers).status_code == 200
    assert (
        httpx.get(f"{served.root}{prefix}/models/demo/echo{slash}", headers=served.headers).json()["id"] == "demo/echo"
    )
    assert served.post(OK, path=f"{prefix}/chat/completions{slash}").status_code == 200
    assert httpx.get(f"{served.root}{prefix}/models{slash}").status_code == 401


@pytest.mark.parametrize(
    "path", ["/v1/mcp", "/api/v1/mcp", "/openai/v1/mcp", "/v1/admin/v1/keys", "/api/v1/admin/keys"]
)
def test_no_alias_leads_to_the_mcp_server_or_to_administration(path: str, served: Served) -> None:
    assert httpx.post(served.root + path, headers=served.headers).status_code == 404


def variants(key: str) -> list[str]:
    other = "B" if key[-1] == "A" else "A"
    return [
        key[:-1] + other,
        key[:30] + ("a" if key[30] != "a" else "b") + key[31:],
        key[:8] + ("a" if key[8] != "a" else "b") + key[9:],
        key[:-1],
        key + "A",
        key.upper(),
        key.replace("sk-zg_", "sk-"),
        "x" * 5000,
        "sk-zg_example0key1_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefg2quVrM",
    ]


def test_every_bad_key_gets_one_text_and_is_never_echoed(served: Served) -> None:
    texts = set()
    for path in (CHAT, "/v1/models", "/v1/me", "/mcp"):
        for key in variants(served.api_key):
            for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
                method = "GET" if path in {"/v1/models", "/v1/me"} else "POST"
                answer = httpx.request(
                    method, served.root + path, headers=headers, json=OK if method == "POST" else None
                )
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"].startswith('Bearer realm="zerogate"')
                assert len(key) < 20 or key not in answer.text
                error = answer.json()["error"]
                texts.add((error["message"], path == "/mcp"))
    assert len({message for message, _ in texts}) == 1
    assert served.api_key not in served.log.read_text()


def test_a_key_counts_in_either_header_and_bearer_wins(served: Served) -> None:
    url = f"{served.root}/v1/models"
    good, bad = served.api_key, "sk-zg_wrong"
    assert httpx.get(url, headers={"x-api-key": good}).status_code == 200
    assert httpx.get(url, headers={"authorization": f"bearer  {good}"}).status_code == 200
    assert httpx.get(url, headers={"authorization": f"Bearer {good}", "x-api-key": bad}).status_code == 200
    assert httpx.get(url, headers={"authorization": f"Bearer {bad}", "x-api-key": good}).status_code == 401
    assert httpx.get(f"{url}?api_key={good}").status_code == 401


def test_an_admin_key_may_not_ask_models(served: Served) -> None:
    headers = {"authorization": f"Bearer {served.admin_key}"}
    answer = httpx.post(served.root + CHAT, json=OK, headers=headers)
    assert (answer.status_code, error_of(answer)["code"]) == (403, "insufficient_scope")
    assert httpx.get(f"{served.root}/v1/me", headers=headers).json()["scopes"] == ["admin"]


@pytest.mark.parametrize("length", [True, False], ids=["with a length", "chunked"])
def test_a_body_over_the_cap_is_refused_before_it_is_read_whole(length: bool, served: Served) -> None:
    def pieces() -> Any:
        for _ in range(100):
            yield b"x" * 100_000

    content = b"x" * 10_000_000 if length else pieces()
    answer = httpx.post(served.root + CHAT, content=content, headers=served.headers)
    error = error_of(answer)
    assert (answer.status_code, error["code"]) == (413, "request_too_large")
    assert "4,194,304" in error["message"]
    assert ("10,000,000" in error["message"]) == length
    assert served.usage_of(answer.headers["x-request-id"])["error_code"] == "request_too_large"


def test_a_body_at_the_cap_passes(hasty: Served) -> None:
    empty = len(json.dumps(bent(messages=[{"role": "user", "content": ""}])))

    def sized(total: int) -> bytes:
        return json.dumps(bent(messages=[{"role": "user", "content": "x" * (total - empty)}])).encode()

    at, over = sized(65_536), sized(65_537)
    assert (len(at), len(over)) == (65_536, 65_537)
    assert httpx.post(hasty.root + CHAT, content=at, headers=hasty.headers).status_code == 200
    assert httpx.post(hasty.root + CHAT, content=over, headers=hasty.headers).status_code == 413


def test_an_oversized_mcp_message_is_refused_in_json_rpc(served: Served) -> None:
    headers = {**served.headers, "accept": "application/json, text/event-stream", "content-type": "application/json"}
    answer = httpx.post(served.mcp_url, content=b" " * 5_000_000, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["error"]["data"]["code"] == "request_too_large"


def test_browsers_may_call_and_see_the_headers_that_matter(served: Served) -> None:
    asks = {
        "origin": "https://app.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    preflight = httpx.options(served.root + CHAT, headers=asks)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in preflight.headers
    assert "x-request-id" in preflight.headers
    refused = httpx.get(f"{served.root}/v1/models", headers={"origin": "https://app.example"})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "*"
    assert "x-request-id" in refused.headers["access-control-expose-headers"]


@pytest.mark.parametrize("path", ["/", "/healthz"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_probes_need_no_key(path: str, method: str, served: Served) -> None:
    answer = httpx.request(method, served.root + path)
    assert answer.status_code == 200
    assert "x-request-id" in answer.headers
    assert (answer.content == b"") == (method == "HEAD")
