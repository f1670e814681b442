"""The key check against fake records and a fake clock: who gets in, for how long, and what the store is asked."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from auth import key_format
from auth.cache import CacheTimes, RecordCache
from auth.cognito import StoreMisconfiguredError, StoreUnavailableError
from auth.records import PolicyDocument, person_username, team_username
from auth.verifier import Verifier
from gateway.errors import ApiKeyExpired, ApiKeyRevoked, AuthUnavailable, InvalidApiKey
from gateway.identity import Scope

pytestmark = pytest.mark.anyio
ANA = "ana@example.com"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Store:
    """Records in a dict; can be slow or out of order."""

    def __init__(self) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self.reads: Counter[str] = Counter()
        self.failure: Exception | None = None
        self.gate: anyio.Event | None = None

    async def read(self, username: str) -> dict[str, Any] | None:
        self.reads[username] += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return self.records.get(username)


class World:
    """A store with one key of Ana's in the team search, and a verifier over it."""

    def __init__(self) -> None:
        self.clock, self.store = Clock(), Store()
        self.verifier = self.another_process()
        self.key = self.add_key()

    def another_process(self) -> Verifier:
        return Verifier(RecordCache(self.store, times=CacheTimes(), clock=self.clock), clock=self.clock)

    def add_key(self, *, exp: int = 0, team: str | None = "search", **policy: Any) -> key_format.ApiKey:
        key = key_format.generate()
        document = PolicyDocument(**{"scopes": frozenset({Scope.INFERENCE}), **policy})
        self.store.records[f"k_{key.kid}"] = {
            "enabled": True,
            "email": ANA,
            "custom:digest": key.digest,
            "custom:exp": str(exp),
            "custom:policy": document.model_dump_json(exclude_none=True),
            **({"family_name": team} if team else {}),
        }
        for holder in (person_username(ANA), team_username("search")):
            self.store.records.setdefault(holder, {"enabled": True, "custom:policy": '{"v":1}'})
        return key

    def record(self, key: key_format.ApiKey) -> dict[str, Any]:
        return self.store.records[f"k_{key.kid}"]

    def disable(self, username: str) -> None:
        # As Cognito does: a new answer, not a change of one that was handed out.
        self.store.records[username] = {**self.store.records[username], "enabled": False}


@pytest.fixture
def world() -> World:
    return World()


async def test_a_good_key_stands_for_its_owner(world: World) -> None:
    principal = await world.verifier.verify(world.key.reveal())
    assert (principal.key_id, principal.owner, principal.team) == (f"k_{world.key.kid}", ANA, "search")
    assert principal.scopes == {Scope.INFERENCE}


@pytest.mark.parametrize("presented", [None, "", "x", "sk-zg_example0key1_***"])
async def test_a_malformed_key_costs_no_read(presented: str | None, world: World) -> None:
    with pytest.raises(InvalidApiKey):
        await world.verifier.verify(presented)
    assert not world.store.reads


async def test_a_cached_key_costs_no_read_and_an_uncached_one_a_read_per_record(world: World) -> None:
    for _ in range(5):
        await world.verifier.verify(world.key.reveal())
    assert set(world.store.reads.values()) == {1}
    assert len(world.store.reads) == 3


async def test_two_hundred_requests_with_one_uncached_key_read_each_record_once(world: World) -> None:
    world.store.gate = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(world.verifier.verify, world.key.reveal())
        await anyio.wait_all_tasks_blocked()
        world.store.gate.set()
    assert dict(world.store.reads) == {
        f"k_{world.key.kid}": 1,
        person_username(ANA): 1,
        team_username("search"): 1,
    }


async def test_a_first_reader_that_leaves_does_not_fail_those_who_wait_for_it(world: World) -> None:
    world.store.gate = anyio.Event()
    answers = []

    async def wait() -> None:
        answers.append(await world.verifier.verify(world.key.reveal()))

    async with anyio.create_task_group() as waiting:
        async with anyio.create_task_group() as first:
            first.start_soon(world.verifier.verify, world.key.reveal())
            await anyio.wait_all_tasks_blocked()
            waiting.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            first.cancel_scope.cancel()
        world.store.gate.set()
    assert len(answers) == 1


async def test_unknown_and_wrong_keys_get_the_same_answer(world: World) -> None:
    unknown = key_format.generate()
    wrong = key_format.ApiKey(kid=world.key.kid, secret=key_format.generate().secret)
    texts = []
    for key in (unknown, wrong):
        with pytest.raises(InvalidApiKey) as refusal:
            await world.verifier.verify(key.reveal())
        assert type(refusal.value) is InvalidApiKey
        texts.append(refusal.value.message)
    assert len(set(texts)) == 1


async def test_the_right_secret_of_a_revoked_or_expired_key_is_told_what_happened(world: World) -> None:
    expired = world.add_key(exp=int(world.clock.now) - 1)
    world.disable(f"k_{world.key.kid}")
    with pytest.raises(ApiKeyRevoked):
        await world.verifier.verify(world.key.reveal())
    with pytest.raises(ApiKeyExpired):
        await world.verifier.verify(expired.reveal())
    wrong = key_format.ApiKey(kid=world.key.kid, secret=expired.secret)
    with pytest.raises(InvalidApiKey) as refusal:
        await world.verifier.verify(wrong.reveal())
    assert type(refusal.value) is InvalidApiKey


async def test_expiry_is_judged_at_each_request(world: World) -> None:
    key = world.add_key(exp=int(world.clock.now) + 10)
    await world.verifier.verify(key.reveal())
    world.clock.now += 10
    with pytest.raises(ApiKeyExpired):
        await world.verifier.verify(key.reveal())


def whole_key(world: World) -> str:
    return f"k_{world.key.kid}"


def person(_: World) -> str:
    return person_username(ANA)


def team(_: World) -> str:
    return team_username("search")


@pytest.mark.parametrize("who", [whole_key, person, team])
async def test_disabling_the_key_its_person_or_its_team_stops_it_within_a_minute_everywhere(
    who: Callable[[World], str], world: World
) -> None:
    other = world.another_process()
    for verifier in (world.verifier, other):
        await verifier.verify(world.key.reveal())
    world.disable(who(world))
    world.clock.now += 59
    await other.verify(world.key.reveal())
    world.clock.now += 1
    for verifier in (world.verifier, other):
        with pytest.raises(ApiKeyRevoked):
            await verifier.verify(world.key.reveal())


async def test_while_the_store_is_down_known_keys_work_five_minutes_and_unknown_ones_get_a_503(world: World) -> None:
    await world.verifier.verify(world.key.reveal())
    world.store.failure = StoreUnavailableError("TooManyRequestsException")
    world.clock.now += 299
    await world.verifier.verify(world.key.reveal())
    with pytest.raises(AuthUnavailable) as refusal:
        await world.verifier.verify(key_format.generate().reveal())
    assert refusal.value.retry_after == 2
    world.clock.now += 2
    with pytest.raises(AuthUnavailable):
        await world.verifier.verify(world.key.reveal())
    world.store.failure = None
    world.clock.now += 2
    await world.verifier.verify(world.key.reveal())


async def test_an_outage_is_never_remembered_as_an_unknown_key(world: World) -> None:
    world.store.failure = StoreUnavailableError("InternalErrorException")
    with pytest.raises(AuthUnavailable):
        await world.verifier.verify(world.key.reveal())
    world.store.failure = None
    world.clock.now += 1
    await world.verifier.verify(world.key.reveal())


async def test_a_store_that_refuses_us_is_a_503_even_for_known_keys(world: World) -> None:
    await world.verifier.verify(world.key.reveal())
    world.store.failure = StoreMisconfiguredError("AccessDeniedException")
    world.clock.now += 61
    with pytest.raises(AuthUnavailable):
        await world.verifier.verify(world.key.reveal())


async def test_a_clock_that_steps_back_makes_entries_stale_and_not_eternal(world: World) -> None:
    await world.verifier.verify(world.key.reveal())
    world.disable(f"k_{world.key.kid}")
    world.clock.now -= 1000
    with pytest.raises(ApiKeyRevoked):
        await world.verifier.verify(world.key.reveal())


async def test_an_unknown_key_is_asked_for_once_in_half_a_minute(world: World) -> None:
    key = key_format.generate()
    for _ in range(10):
        with pytest.raises(InvalidApiKey):
            await world.verifier.verify(key.reveal())
    assert world.store.reads[f"k_{key.kid}"] == 1


async def test_a_flood_of_unknown_keys_does_not_push_out_a_live_one(world: World) -> None:
    await world.verifier.verify(world.key.reveal())
    for _ in range(10_050):
        with pytest.raises(InvalidApiKey):
            await world.verifier.verify(key_format.generate().reveal())
    await world.verifier.verify(world.key.reveal())
    assert world.store.reads[f"k_{world.key.kid}"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"custom:policy": "{"},
        {"custom:policy": '{"v":2}'},
        {"custom:policy": '{"v":1,"narrower":true}'},
        {"custom:digest": "abc"},
        {"custom:exp": ""},
        {"custom:exp": "soon"},
        {"family_name": "No Slug"},
    ],
)
async def test_a_record_that_does_not_parse_is_refused(change: dict[str, str], world: World) -> None:
    world.record(world.key).update(change)
    with pytest.raises(InvalidApiKey):
        await world.verifier.verify(world.key.reveal())


@pytest.mark.parametrize("missing", [person_username(ANA), team_username("search")])
async def test_a_key_whose_person_or_team_has_no_record_is_refused(missing: str, world: World) -> None:
    del world.store.records[missing]
    with pytest.raises(InvalidApiKey):
        await world.verifier.verify(world.key.reveal())


async def test_the_narrowest_of_key_person_and_team_counts(world: World) -> None:
    key = world.add_key(models=("claude-*", "gpt-*"))
    world.store.records[person_username(ANA)] = {"enabled": True, "custom:policy": '{"v":1,"models":["claude-*"]}'}
    principal = await world.verifier.verify(key.reveal())
    assert principal.allows_model("claude-x")
    assert not principal.allows_model("gpt-x")
    assert not principal.allows_model("demo/echo")


async def test_people_are_the_same_in_every_spelling_of_their_address() -> None:
    assert person_username(" Ana@Example.com ") == person_username(ANA)
    assert person_username(ANA) != person_username("bob@example.com")
