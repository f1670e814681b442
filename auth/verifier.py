"""From the text of a key to who is calling."""

import hmac
import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
from pydantic import ValidationError

from auth import key_format
from auth.cache import RecordCache
from auth.records import (
    KeyRecord,
    PersonRecord,
    Record,
    TeamRecord,
    key_username,
    person_username,
    team_username,
)
from gateway.errors import ApiKeyExpired, ApiKeyRevoked, GatewayError, InvalidApiKey
from gateway.identity import Principal

logger = logging.getLogger(__name__)
R = TypeVar("R", bound=Record)

# Compared with where no record exists, so that an unknown id costs what a wrong secret does.
NO_DIGEST = "0" * 64


class Verifier:
    """Checks keys against cached Cognito records.

    Args:
        clock: unix seconds; expiry is judged at each request, never cached.
    """

    def __init__(self, cache: RecordCache, *, clock: Callable[[], float] = time.time) -> None:
        self._cache = cache
        self._clock = clock

    async def verify(self, presented: str | None) -> Principal:
        """Who the key stands for.

        Raises:
            InvalidApiKey: missing, malformed, unknown or wrong: one text for all.
            ApiKeyExpired, ApiKeyRevoked: told to who holds the right secret.
            AuthUnavailable: there is no knowing at the moment.
        """
        key = key_format.parse(presented) if presented else None
        if key is None:
            raise _refused("malformed" if presented else "missing")
        record = _parsed(KeyRecord, await self._cache.get(key_username(key.kid)), key_username(key.kid))
        right = hmac.compare_digest(record.digest if record else NO_DIGEST, key.digest)
        if record is None or not right:
            raise _refused("wrong secret" if record else "unknown", key.kid)
        if not record.enabled:
            raise _told(ApiKeyRevoked(), "revoked", key.kid)
        if record.expires_at and self._clock() >= record.expires_at:
            raise _told(ApiKeyExpired(), "expired", key.kid)
        holders = await self._holders(record, key.kid)
        return Principal(
            key_id=key_username(key.kid),
            owner=record.owner,
            team=record.team,
            label=record.label,
            policies=tuple(r.policy.to_policy() for r in (record, *holders)),
            expires_at=record.expires_at or None,
        )

    async def _holders(self, record: KeyRecord, kid: str) -> list[Record]:
        """The person's and the team's records, read side by side; both must be there and enabled."""
        wanted: list[tuple[type[Record], str]] = [(PersonRecord, person_username(record.owner))]
        if record.team:
            wanted.append((TeamRecord, team_username(record.team)))
        found: dict[str, dict[str, Any] | None] = {}
        failures: list[GatewayError] = []

        async def read(username: str) -> None:
            try:
                found[username] = await self._cache.get(username)
            except GatewayError as error:
                failures.append(error)

        async with anyio.create_task_group() as tasks:
            for _, username in wanted:
                tasks.start_soon(read, username)
        if failures:
            raise failures[0]
        holders = [_parsed(kind, found[username], username) for kind, username in wanted]
        if None in holders:
            logger.error("key %s names a person or team that has no usable record", key_username(kid))
            raise InvalidApiKey
        present = [holder for holder in holders if holder is not None]
        if not all(holder.enabled for holder in present):
            raise _told(ApiKeyRevoked(), "person or team disabled", kid)
        return present


def _parsed(kind: type[R], attributes: dict[str, Any] | None, username: str) -> R | None:
    """The record; None, and a line in the log, for one that does not parse."""
    if attributes is None:
        return None
    try:
        return kind.model_validate(attributes)
    except ValidationError as error:
        fields = sorted({".".join(map(str, problem["loc"])) for problem in error.errors(include_input=False)})
        logger.error("record %s is malformed (%s) and is refused", username, ", ".join(fields))  # noqa: TRY400  the trace says no more
        return None


def _refused(reason: str, kid: str | None = None) -> InvalidApiKey:
    logger.info("key refused: %s (%s)", reason, key_username(kid) if kid else "no id")
    return InvalidApiKey()


def _told(error: InvalidApiKey, reason: str, kid: str) -> InvalidApiKey:
    logger.info("key refused: %s (%s)", reason, key_username(kid))
    return error
