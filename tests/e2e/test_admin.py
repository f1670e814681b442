"""The administration: who may make a key, and what comes back. On Lambda it is a function of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from auth.records import PolicyDocument
from bootstrap.local_cognito import LocalCognito
from gateway.identity import Scope
from tests.deployed import Deployed, deployed
from tests.front import events
from tests.front.http1 import Head
from tests.served import Served, models_file

ARN = "arn:aws:sts::123456789012:assumed-role/Admin/ana"
BODY: dict[str, Any] = {"name": "ci runner", "owner": "Bo@Example.com", "team": "search", "expires_in_seconds": 3600}


def signed(head: Head, body: bytes) -> dict[str, Any]:
    """As API Gateway hands over a request to /admin whose signature it has checked; others have no identity."""
    event = events.v1(head, body)
    if head.target.startswith("/admin/"):
        event["requestContext"]["identity"]["userArn"] = ARN
    return event


def make_key(cognito: LocalCognito, scope: Scope) -> str:
    policy = PolicyDocument(scopes=frozenset({scope}))
    return cognito.writer().create_key(owner="root@example.com", policy=policy, created_by="a test").reveal()


@pytest.fixture(scope="module")
def admin(cognito: LocalCognito, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("admin")
    with deployed(folder, cognito, models_file("http://127.0.0.1:9"), handler="admin", event=signed) as function:
        yield function


def post(url: str, body: Any = BODY, key: str | None = None, **headers: str) -> httpx.Response:
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    return httpx.post(url, json=body, headers=headers, timeout=60)


def test_an_aws_identity_makes_a_key_that_opens_the_public_function(
    admin: Deployed, cognito: LocalCognito, tmp_path: Path
) -> None:
    answer = post(f"{admin.url}/admin/v1/keys")
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    made = answer.json()
    value = made.pop("value")
    assert made["redacted_value"] == value[: value.rindex("_")] + "_***"
    assert made["expires_at"] - made["created_at"] == 3600
    assert made["owner"]["id"] == "bo@example.com"
    assert {name: made[name] for name in ("object", "name", "team", "status", "last_used_at", "policy")} == {
        "object": "organization.admin_api_key",
        "name": "ci runner",
        "team": "search",
        "status": "active",
        "last_used_at": None,
        "policy": {"v": 1, "scopes": ["inference"]},
    }
    with deployed(tmp_path, cognito, models_file("http://127.0.0.1:9")) as public:
        me = httpx.get(f"{public.url}/v1/me", headers={"authorization": f"Bearer {value}"}).json()
        assert (me["id"], me["owner"], me["label"], me["scopes"]) == (
            made["id"],
            "bo@example.com",
            "ci runner",
            ["inference"],
        )
        # The public function has no administration at all.
        assert post(f"{public.url}/admin/v1/keys", key=value).status_code == 404
        assert post(f"{public.url}/v1/admin/keys", key=value).status_code == 404
    (line,) = [
        line for line in admin.log_lines() if line.get("event") == "key.created" and line["key_id"] == made["id"]
    ]
    assert (line["actor"], line["owner"], line["team"]) == (ARN, "bo@example.com", "search")
    assert value.rpartition("_")[2] not in admin.front.log()


def test_an_admin_key_makes_keys_but_no_admins(admin: Deployed, cognito: LocalCognito) -> None:
    key = make_key(cognito, Scope.ADMIN)
    url = f"{admin.url}/v1/admin/keys"
    assert post(url, key=key).status_code == 201
    refused = post(url, {**BODY, "policy": {"scopes": ["admin"]}}, key=key)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope")
    assert post(f"{admin.url}/admin/v1/keys", {**BODY, "policy": {"scopes": ["admin"]}}).status_code == 201


def test_nobody_else_makes_keys(admin: Deployed, cognito: LocalCognito) -> None:
    url = f"{admin.url}/v1/admin/keys"
    assert post(url).status_code == 401
    assert post(url, key=make_key(cognito, Scope.INFERENCE)).status_code == 403
    spoofed = {"x-amzn-request-context": f'{{"identity":{{"userArn":"{ARN}"}}}}', "userarn": ARN}
    assert post(url, **spoofed).status_code == 401


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"surprise": 1}, "surprise"),
        ({"name": ""}, "name"),
        ({"owner": " "}, "owner"),
        ({"team": "No Slug"}, "team"),
        ({"expires_in_seconds": 0}, "expires_in_seconds"),
        ({"policy": {"scopes": ["everything"]}}, "policy.scopes[0]"),
        ({"policy": {"surprise": 1}}, "policy.surprise"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_made(change: dict[str, Any], param: str, admin: Deployed) -> None:
    before = admin.front.log().count("key.created")
    answer = post(f"{admin.url}/admin/v1/keys", {**BODY, **change})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert admin.front.log().count("key.created") == before


def test_a_policy_without_scopes_is_for_inference_alone(admin: Deployed) -> None:
    made = post(f"{admin.url}/admin/v1/keys", {**BODY, "policy": {"models": ["demo/*"]}}).json()
    assert made["policy"] == {"v": 1, "models": ["demo/*"], "scopes": ["inference"]}


def test_a_store_that_is_away_is_a_503(cognito: LocalCognito, tmp_path: Path) -> None:
    models = models_file("http://127.0.0.1:9")
    away: Any = {"ZEROGATE_COGNITO_ENDPOINT_URL": "http://127.0.0.1:9"}
    with deployed(tmp_path, cognito, models, handler="admin", event=signed, **away) as function:
        answer = post(f"{function.url}/admin/v1/keys")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")


def test_the_local_server_takes_its_admin_key(served: Served) -> None:
    url = f"{served.root}/admin/v1/keys"
    made = post(url, key=served.admin_key)
    assert made.status_code == 201
    assert httpx.get(f"{served.base_url}/me", headers={"x-api-key": made.json()["value"]}).status_code == 200
    assert post(url, key=served.api_key).status_code == 403
    assert post(url).status_code == 401
