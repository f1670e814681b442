"""A Cognito on this machine for `zerogate serve`: moto's server on loopback, real boto3 in front.

moto forgets everything when it stops, so each record that is written is kept as a file in the user's data folder and
put back at the next start. A record holds the digest of a secret, never the secret.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auth.cognito import CognitoReader, CognitoWriter
from auth.records import CUSTOM_ATTRIBUTES, attributes_of
from bootstrap.cognito_client import build_client, client_errors
from gateway.identity import Scope

if TYPE_CHECKING:
    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

logger = logging.getLogger(__name__)
REGION = "us-east-1"
# For a process that is to reach this Cognito as it would reach AWS's.
LOCAL_CREDENTIALS_ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


class LocalCognito:
    """The pool, and the folder that remembers it."""

    def __init__(self, endpoint_url: str, folder: Path) -> None:
        self.endpoint_url = endpoint_url
        self._folder = folder
        self._client = self._new_client()
        self.pool_id = self._client.create_user_pool(
            PoolName="zerogate-local",
            Schema=[
                {"Name": name, "AttributeDataType": "String", "StringAttributeConstraints": {"MaxLength": str(length)}}
                for name, length in CUSTOM_ATTRIBUTES.items()
            ],
        )["UserPool"]["Id"]
        self.restored = self._restore()

    def reader(self) -> CognitoReader:
        """For the key check."""
        return CognitoReader(self._new_client, pool_id=self.pool_id)

    def writer(self) -> CognitoWriter:
        """For new keys; what it writes is remembered."""
        return CognitoWriter(self._client, pool_id=self.pool_id, on_write=self._remember)

    def _new_client(self) -> "CognitoIdentityProviderClient":
        return build_client(region=REGION, endpoint_url=self.endpoint_url, local=True)

    def _restore(self) -> list[str]:
        """Put the remembered records back; returns the enabled keys among them that may ask models."""
        keys = []
        unusable: tuple[type[Exception], ...] = (
            OSError,
            ValueError,
            KeyError,
            AttributeError,
            TypeError,
            *client_errors(),
        )
        for file in sorted(self._folder.glob("*.json")):
            try:
                record: dict[str, Any] = json.loads(file.read_text())
                self._put_back(file.stem, record["attributes"], enabled=record["enabled"])
            except unusable:
                logger.warning("%s is not a record of a key; it is left alone", file)
                continue
            if file.stem.startswith("k_") and record["enabled"] and Scope.INFERENCE in str(record["attributes"]):
                keys.append(file.stem)
        return keys

    def _put_back(self, username: str, attributes: Mapping[str, str], *, enabled: bool) -> None:
        self._client.admin_create_user(
            UserPoolId=self.pool_id,
            Username=username,
            MessageAction="SUPPRESS",
            UserAttributes=[{"Name": name, "Value": value} for name, value in attributes.items()],
        )
        if not enabled:
            self._client.admin_disable_user(UserPoolId=self.pool_id, Username=username)

    def _remember(self, username: str) -> None:
        user = self._client.admin_get_user(UserPoolId=self.pool_id, Username=username)
        attributes = attributes_of(user)
        enabled = attributes.pop("enabled")
        attributes.pop("sub", None)
        write_private(self._folder / f"{username}.json", {"attributes": attributes, "enabled": enabled})


@contextmanager
def local_cognito(folder: Path) -> Iterator[LocalCognito]:
    """Runs while the block does. `folder` is made when it is missing."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415  only `zerogate serve` needs it

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield LocalCognito(f"http://{host}:{port}", folder)
    finally:
        server.stop()


def write_private(path: Path, content: Mapping[str, Any]) -> None:
    """Replace the file in one step; nobody else may read it, not even while it is written.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
        json.dump(content, file, indent=1)
    temporary.replace(path)
