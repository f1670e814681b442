"""The records in a Cognito user pool, through boto3 in worker threads.

Reading and writing are apart: the public function's role may only read (AdminGetUser).
"""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from auth import key_format
from auth.records import (
    MAX_LABEL,
    MAX_VALUE,
    PolicyDocument,
    attributes_of,
    key_username,
    owner_attribute,
    person_username,
    team_username,
)

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient
    from mypy_boto3_cognito_idp.type_defs import AttributeTypeTypeDef

# Botocore's names for "not now"; everything else that Cognito refuses is ours to mend.
TRANSIENT = frozenset(
    {
        "TooManyRequestsException",
        "ThrottlingException",
        "LimitExceededException",
        "InternalErrorException",
        "InternalFailure",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "RequestTimeout",
        "500",
        "502",
        "503",
        "504",
    }
)
MAX_PARALLEL_READS = 10
MAX_KID_COLLISIONS = 3


class StoreUnavailableError(Exception):
    """Cognito throttles or does not answer: try again later."""


class StoreMisconfiguredError(Exception):
    """Cognito refuses us (rights, pool): someone has to mend the deployment."""


class KeyConflictError(Exception):
    """Three random kids in a row were taken."""


ClientFactory = Callable[[], "CognitoIdentityProviderClient"]


class CognitoReader:
    """Reads single records. The client is built at the first read: boto3 takes a while to load."""

    def __init__(self, make_client: ClientFactory, *, pool_id: str) -> None:
        self._make_client = make_client
        self._pool_id = pool_id
        self._client: CognitoIdentityProviderClient | None = None
        self._limiter = anyio.CapacityLimiter(MAX_PARALLEL_READS)
        self._making = anyio.Lock()

    async def read(self, username: str) -> dict[str, Any] | None:
        """The record's attributes and `enabled`, or None where there is no such user.

        Raises:
            StoreUnavailableError, StoreMisconfiguredError: there is no knowing.
        """
        async with self._making:
            if self._client is None:
                self._client = await anyio.to_thread.run_sync(self._make_client)
        client = self._client
        return await anyio.to_thread.run_sync(
            lambda: read_once(client, pool_id=self._pool_id, username=username), limiter=self._limiter
        )


def read_once(client: "CognitoIdentityProviderClient", *, pool_id: str, username: str) -> dict[str, Any] | None:
    """One record, as `CognitoReader.read`. Blocking."""
    user = _asked(lambda: client.admin_get_user(UserPoolId=pool_id, Username=username))
    return attributes_of(user) if user is not None else None


class CognitoWriter:
    """Creates records. AdminCreateUser is the only create-if-absent that Cognito has, so everything hangs on it.

    Blocking: for start-up code and for handlers that run in a worker thread.

    Args:
        on_write: told the username of each record after it was written.
    """

    def __init__(
        self,
        client: "CognitoIdentityProviderClient",
        *,
        pool_id: str,
        on_write: Callable[[str], None] = lambda _username: None,
    ) -> None:
        self._client = client
        self._pool_id = pool_id
        self._on_write = on_write

    def create_key(
        self,
        *,
        owner: str,
        policy: PolicyDocument,
        team: str | None = None,
        label: str | None = None,
        expires_at: int = 0,
        created_by: str,
    ) -> key_format.ApiKey:
        """Create a key, and its person and team where they are new. The only moment at which the key is whole.

        Raises:
            ValueError: a field is blank or over Cognito's limits.
            KeyConflictError, StoreUnavailableError, StoreMisconfiguredError: nothing usable was created.
        """
        attributes = owner_attribute(owner) | {
            "custom:policy": _policy_text(policy),
            "custom:exp": str(expires_at),
            "custom:meta": json.dumps({"v": 1, "created_by": created_by}),
        }
        if label:
            attributes["given_name"] = _within(label, MAX_LABEL, "a label")
        if team:
            attributes["family_name"] = team
            self.ensure_team(team)
        self.ensure_person(owner)
        for _ in range(MAX_KID_COLLISIONS):
            key = key_format.generate()
            if self._create_key_user(key, attributes):
                return key
        raise KeyConflictError

    def ensure_person(self, owner: str) -> None:
        """Create the person's record unless there is one; an existing one stays as it is."""
        self._ensure(person_username(owner), owner_attribute(owner))

    def ensure_team(self, slug: str) -> None:
        """Likewise for a team."""
        self._ensure(team_username(slug), {"name": slug})

    def _ensure(self, username: str, attributes: Mapping[str, str]) -> None:
        self._create(username, {**attributes, "custom:policy": _policy_text(PolicyDocument())})

    def _create_key_user(self, key: key_format.ApiKey, attributes: Mapping[str, str]) -> bool:
        username = key_username(key.kid)
        if self._create(username, {**attributes, "custom:digest": key.digest}):
            return True
        # boto3 repeats a request whose answer was lost: then the user is there, and it is ours.
        record = read_once(self._client, pool_id=self._pool_id, username=username)
        return record is not None and record.get("custom:digest") == key.digest

    def _create(self, username: str, attributes: Mapping[str, str]) -> bool:
        """Whether the user was created; False when it existed."""
        pairs: list[AttributeTypeTypeDef] = [
            {"Name": name, "Value": _within(value, MAX_VALUE, name)} for name, value in attributes.items()
        ]
        taken = self._client.exceptions.UsernameExistsException
        try:
            _asked(
                lambda: self._client.admin_create_user(
                    UserPoolId=self._pool_id,
                    Username=username,
                    MessageAction="SUPPRESS",
                    UserAttributes=pairs,
                )
            )
        except taken:
            return False
        self._on_write(username)
        return True


def _policy_text(policy: PolicyDocument) -> str:
    return policy.model_dump_json(exclude_none=True)


def _within(value: str, limit: int, name: str) -> str:
    """The value; Cognito deletes attributes that are blank."""
    if not value.strip() or len(value) > limit:
        message = f"{name} has 1 to {limit} characters"
        raise ValueError(message)
    return value


def _asked(call: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The answer of a Cognito call, None for a user that does not exist, and our errors for the rest."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  loaded with the client already

    try:
        return call()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "UserNotFoundException":
            return None
        if code == "UsernameExistsException":
            raise
        if code in TRANSIENT:
            raise StoreUnavailableError(code) from error
        raise StoreMisconfiguredError(code) from error
    except BotoCoreError as error:
        # Also: no credentials. Whether that mends itself is unknown (a container's credentials may come later).
        raise StoreUnavailableError(type(error).__name__) from error
