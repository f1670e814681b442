"""Records in memory: fresh for a minute, kept for five while Cognito cannot answer; one read at a time for each."""

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar
from weakref import WeakValueDictionary

import anyio

from auth.cognito import StoreMisconfiguredError, StoreUnavailableError
from gateway.errors import AuthUnavailable

logger = logging.getLogger(__name__)
T = TypeVar("T")

# A store that just failed is not asked for the same record again by everyone who waited.
FAILURE_SECONDS = 1.0
RETRY_AFTER_SECONDS = 2
MAX_ENTRIES = 10_000


class RecordReader(Protocol):
    """Where records are read from."""

    def read(self, username: str) -> Awaitable[dict[str, Any] | None]:
        """See `auth.cognito.CognitoReader.read`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheTimes:
    """In seconds: how long a found and a missing record count as fresh, and how old one may get in an outage."""

    found: float = 60.0
    missing: float = 30.0
    stale: float = 300.0


class RecordCache:
    """Reads through to the store.

    Ages are by wall clock: the monotonic clock may stand still while a Lambda environment is frozen. A clock that
    steps back makes an entry unusable rather than eternal.
    """

    def __init__(
        self, reader: RecordReader, *, times: CacheTimes | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._reader = reader
        self._times = times or CacheTimes()
        self._clock = clock
        self._found = _Aged[dict[str, Any]]()
        # Apart, so that a flood of unknown keys cannot push out live ones.
        self._missing = _Aged[Literal[True]]()
        self._failed = _Aged[Literal[True]]()
        self._locks: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    async def get(self, username: str) -> dict[str, Any] | None:
        """The record, or None where there is none.

        Raises:
            AuthUnavailable: the store cannot be asked and the record was not read in the last minutes.
        """
        known, record = self._known(username)
        if known:
            return record
        lock = self._locks.setdefault(username, anyio.Lock())
        async with lock:
            known, record = self._known(username)
            return record if known else await self._read(username)

    def forget(self, username: str) -> None:
        """Read it anew next time."""
        self._found.drop(username)
        self._missing.drop(username)

    def _known(self, username: str) -> tuple[bool, dict[str, Any] | None]:
        now = self._clock()
        record = self._found.get(username, now, self._times.found)
        return record is not None or self._missing.get(username, now, self._times.missing) is not None, record

    async def _read(self, username: str) -> dict[str, Any] | None:
        if self._failed.get(username, self._clock(), FAILURE_SECONDS):
            return self._stale(username, None)
        asked_at = self._clock()
        try:
            record = await self._reader.read(username)
        except StoreUnavailableError as error:
            self._failed.put(username, self._clock(), value=True)
            return self._stale(username, error)
        except StoreMisconfiguredError as error:
            logger.exception("the key store refuses to be read: check the user pool and this function's role")
            raise AuthUnavailable(retry_after=RETRY_AFTER_SECONDS) from error
        if record is None:
            self._found.drop(username)
            self._missing.put(username, asked_at, value=True)
        else:
            self._missing.drop(username)
            self._found.put(username, asked_at, value=record)
        return record

    def _stale(self, username: str, error: StoreUnavailableError | None) -> dict[str, Any]:
        record = self._found.get(username, self._clock(), self._times.stale)
        if record is None:
            raise AuthUnavailable(retry_after=RETRY_AFTER_SECONDS) from error
        logger.warning("the key store does not answer (%s): a known record is used", error or "just now")
        return record


class _Aged(Generic[T]):
    """A bounded map whose entries know their age; the least recently used goes first."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[T, float]] = OrderedDict()

    def get(self, name: str, now: float, max_age: float) -> T | None:
        entry = self._entries.get(name)
        if entry is None or not 0 <= now - entry[1] < max_age:
            return None
        self._entries.move_to_end(name)
        return entry[0]

    def put(self, name: str, now: float, *, value: T) -> None:
        self._entries[name] = (value, now)
        self._entries.move_to_end(name)
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)

    def drop(self, name: str) -> None:
        self._entries.pop(name, None)
