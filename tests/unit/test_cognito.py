"""The record store over real boto3 against moto's server."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio
import boto3
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from auth.cache import RecordCache
from auth.cognito import CognitoReader, CognitoWriter, StoreMisconfiguredError, StoreUnavailableError, read_once
from auth.records import CUSTOM_ATTRIBUTES, PolicyDocument, person_username, team_username
from auth.verifier import Verifier
from bootstrap.cognito_client import build_client
from bootstrap.local_cognito import LocalCognito, local_cognito
from gateway.errors import InvalidApiKey
from gateway.identity import Scope

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

POLICY = PolicyDocument(scopes=frozenset({Scope.INFERENCE}))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(endpoint: str) -> "CognitoIdentityProviderClient":
    return build_client(region="us-east-1", endpoint_url=endpoint, local=True)


@pytest.fixture
def pool(client: "CognitoIdentityProviderClient") -> str:
    return client.create_user_pool(PoolName="t")["UserPool"]["Id"]


def verify(endpoint: str, pool: str, key: str) -> Any:
    reader = CognitoReader(lambda: build_client(region="us-east-1", endpoint_url=endpoint, local=True), pool_id=pool)
    return anyio.run(Verifier(RecordCache(reader)).verify, key)


def test_a_key_that_was_written_is_verified(endpoint: str, client: Any, pool: str) -> None:
    key = CognitoWriter(client, pool_id=pool).create_key(
        owner="Ana@Example.com", team="search", label="laptop", policy=POLICY, created_by="test"
    )
    principal = verify(endpoint, pool, key.reveal())
    assert (principal.owner, principal.team, principal.label) == ("ana@example.com", "search", "laptop")
    assert principal.scopes == {Scope.INFERENCE}


def test_only_the_digest_is_stored(client: Any, pool: str) -> None:
    key = CognitoWriter(client, pool_id=pool).create_key(owner="bob", policy=POLICY, created_by="test")
    stored = str(client.list_users(UserPoolId=pool)["Users"])
    assert key.digest in stored
    assert key.secret not in stored


def test_a_disabled_person_or_team_is_read_as_such(endpoint: str, client: Any, pool: str) -> None:
    key = CognitoWriter(client, pool_id=pool).create_key(owner="bob", team="x", policy=POLICY, created_by="test")
    for username in (person_username("bob"), team_username("x")):
        client.admin_disable_user(UserPoolId=pool, Username=username)
        with pytest.raises(InvalidApiKey) as refusal:
            verify(endpoint, pool, key.reveal())
        assert "revoked" in refusal.value.message
        client.admin_enable_user(UserPoolId=pool, Username=username)
    assert verify(endpoint, pool, key.reveal()).owner == "bob"


def test_creating_a_second_key_leaves_person_and_team_as_they_are(client: Any, pool: str) -> None:
    writer = CognitoWriter(client, pool_id=pool)
    writer.create_key(owner="bob", team="x", policy=POLICY, created_by="test")
    client.admin_disable_user(UserPoolId=pool, Username=person_username("bob"))
    writer.create_key(owner="bob", team="x", policy=POLICY, created_by="test")
    record = read_once(client, pool_id=pool, username=person_username("bob"))
    assert record is not None
    assert record["enabled"] is False


def test_keys_created_at_once_are_all_there(endpoint: str, client: Any, pool: str) -> None:
    writer = CognitoWriter(client, pool_id=pool)
    with ThreadPoolExecutor(16) as threads:
        made = [
            threads.submit(writer.create_key, owner=f"o{n % 4}", team="x", policy=POLICY, created_by="test")
            for n in range(48)
        ]
        keys = [future.result() for future in made]
    assert len({key.kid for key in keys}) == 48
    for key in keys[::6]:
        assert verify(endpoint, pool, key.reveal()).team == "x"


@pytest.mark.parametrize(
    "wrong", [{"owner": " "}, {"owner": "x" * 255}, {"owner": "o", "label": "x" * 65}, {"owner": "o", "label": " "}]
)
def test_what_cognito_would_cut_or_delete_is_refused_by_us(wrong: dict[str, str], client: Any, pool: str) -> None:
    before = len(client.list_users(UserPoolId=pool)["Users"])
    with pytest.raises(ValueError, match="characters"):
        CognitoWriter(client, pool_id=pool).create_key(policy=POLICY, created_by="test", **wrong)  # type: ignore[arg-type]
    assert len(client.list_users(UserPoolId=pool)["Users"]) == before


def test_a_policy_over_cognitos_limit_is_refused_by_us(client: Any, pool: str) -> None:
    policy = PolicyDocument(models=tuple(f"model-{n:03d}-" + "x" * 100 for n in range(30)))
    with pytest.raises(ValueError, match="2048"):
        CognitoWriter(client, pool_id=pool).create_key(owner="o", policy=policy, created_by="test")


def test_the_attributes_fit_cognitos_limits() -> None:
    assert all(len(name) <= 20 for name in CUSTOM_ATTRIBUTES)
    assert all(length <= 2048 for length in CUSTOM_ATTRIBUTES.values())
    assert len(CUSTOM_ATTRIBUTES) <= 25


class FakeClient:
    """Answers AdminGetUser with an error."""

    def __init__(self, code: str) -> None:
        self._code = code

    def admin_get_user(self, **_: Any) -> Any:
        raise ClientError({"Error": {"Code": self._code, "Message": "m"}}, "AdminGetUser")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("TooManyRequestsException", StoreUnavailableError),
        ("InternalErrorException", StoreUnavailableError),
        ("ThrottlingException", StoreUnavailableError),
        ("AccessDeniedException", StoreMisconfiguredError),
        ("ResourceNotFoundException", StoreMisconfiguredError),
        ("NotAuthorizedException", StoreMisconfiguredError),
    ],
)
def test_cognitos_errors_are_told_apart(code: str, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        read_once(FakeClient(code), pool_id="p", username="k_x")  # type: ignore[arg-type]
    assert read_once(FakeClient("UserNotFoundException"), pool_id="p", username="k_x") is None  # type: ignore[arg-type]


def test_a_store_that_cannot_be_reached_is_unavailable_and_not_unknown() -> None:
    client = build_client(region="us-east-1", endpoint_url="http://127.0.0.1:9", local=True)
    with pytest.raises(StoreUnavailableError):
        read_once(client, pool_id="p", username="k_x")


def test_the_first_reads_of_many_requests_share_one_client(endpoint: str, client: Any, pool: str) -> None:
    key = CognitoWriter(client, pool_id=pool).create_key(owner="bob", policy=POLICY, created_by="test")
    built: list[int] = []

    def factory() -> Any:
        built.append(threading.get_ident())
        return boto3.client(
            "cognito-idp",
            region_name="us-east-1",
            endpoint_url=endpoint,
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    async def many() -> None:
        verifier = Verifier(RecordCache(CognitoReader(factory, pool_id=pool)))
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(verifier.verify, key.reveal())

    anyio.run(many)
    assert len(built) == 1


def test_local_records_survive_a_restart_and_hold_no_secret(tmp_path: "Path") -> None:
    with local_cognito(tmp_path / "cognito") as first:
        writer = first.writer()
        key = writer.create_key(owner="bob", team="x", policy=POLICY, created_by="test")
        gone = writer.create_key(owner="bob", policy=POLICY, created_by="test")
    files = sorted((tmp_path / "cognito").iterdir())
    assert len(files) == 4
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)
    assert (tmp_path / "cognito").stat().st_mode & 0o777 == 0o700
    assert key.secret not in "".join(file.read_text() for file in files)
    disabled = tmp_path / "cognito" / f"k_{gone.kid}.json"
    disabled.write_text(disabled.read_text().replace('"enabled": true', '"enabled": false'))
    (tmp_path / "cognito" / "k_broken.json").write_text("{")
    with local_cognito(tmp_path / "cognito") as second:
        assert second.restored == [f"k_{key.kid}"]
        assert _verified(second, key.reveal()).owner == "bob"
        with pytest.raises(InvalidApiKey):
            _verified(second, gone.reveal())


def _verified(cognito: LocalCognito, key: str) -> Any:
    return anyio.run(Verifier(RecordCache(cognito.reader())).verify, key)
