"""The use case over fake ports: how each way out settles, and that it does so once."""

import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from decimal import Decimal
from typing import Any

import anyio
import pytest

from gateway.call import Account, Call
from gateway.catalog import Catalog, Deployment, ModelEntry
from gateway.chat import Gateway
from gateway.chat_types import ChatRequest, ChoiceDelta, Chunk, Usage, Waiting
from gateway.collect import collect
from gateway.errors import (
    DeadlineExceeded,
    GatewayError,
    InsufficientScope,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    UpstreamError,
)
from gateway.identity import Policy, Principal, Scope
from gateway.records import Outcome, UsageRecord, UsageSource

pytestmark = pytest.mark.anyio

Step = Chunk | Exception | float
REPORTED = Usage(input_tokens=5, output_tokens=2)
DONE = Chunk(finish_reasons={0: "stop"}, usage=REPORTED)
PRINCIPAL = Principal(key_id="k", owner="o", policies=(Policy(scopes=frozenset({Scope.INFERENCE})),))


def text(said: str, index: int = 0) -> Chunk:
    return Chunk(choices=(ChoiceDelta(index=index, content=said),))


class FakeProvider:
    """Plays a list of steps per attempt: a chunk, a failure, or seconds to wait (inf: for ever)."""

    def __init__(self, *attempts: Sequence[Step]) -> None:
        self._attempts = list(attempts)
        self.asked: list[ChatRequest] = []
        self.closed = 0
        self.preparing = 0.0

    async def prepare(self, deployment: Deployment, request: ChatRequest) -> tuple[Deployment, ChatRequest]:
        await anyio.sleep(self.preparing)
        return deployment, request

    async def stream(self, deployment: Deployment, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        self.asked.append(request)
        try:
            for step in self._attempts.pop(0):
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, Chunk):
                    yield step
                else:
                    await anyio.sleep(step)
        finally:
            self.closed += 1

    def cost(self, deployment: Deployment, usage: Usage) -> Decimal | None:
        return Decimal(usage.input_tokens + usage.output_tokens)


class FakeSink:
    def __init__(self, behaviour: Callable[[], object] = lambda: None) -> None:
        self.records: list[UsageRecord] = []
        self._behaviour = behaviour

    def record(self, record: UsageRecord) -> None:
        self.records.append(record)
        self._behaviour()


class Budget:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def seconds(self, *, streamed: bool, available: float | None) -> float:
        return self._seconds


class World:
    def __init__(self, *attempts: Sequence[Step], seconds: float = 5, waiting: float = 60, sink: Any = None) -> None:
        self.provider = FakeProvider(*attempts)
        self.sink: Any = sink or FakeSink()
        places = tuple(Deployment(model=f"x/{n}") for n in range(5))
        self.gateway = Gateway(
            catalog=Catalog([ModelEntry(name="m", deployments=places)]),
            provider=self.provider,
            sink=self.sink,
            budget=Budget(seconds),
            waiting_after=waiting,
            stalled_reader_after=0.1,
        )

    def open(self, principal: Principal = PRINCIPAL, *, arrived_before: float = 0) -> Account:
        started = anyio.current_time() - arrived_before
        return self.gateway.open(
            Call(request_id="r", principal=principal, surface="openai", endpoint="e", started=started)
        )

    async def ask(self, principal: Principal = PRINCIPAL, **request: Any) -> Any:
        asked = ChatRequest(**{"model": "m", "messages": [{"role": "user", "content": "abcd"}], **request})
        async with self.open(principal) as account, self.gateway.chat(account, asked) as answer:
            return await collect(answer)

    @property
    def record(self) -> UsageRecord:
        (record,) = self.sink.records
        assert isinstance(record, UsageRecord)
        return record


async def test_a_complete_answer_is_settled_with_what_was_reported() -> None:
    world = World([text("a"), text("b"), DONE])
    result = await world.ask()
    assert (result.choices[0].content, result.choices[0].finish_reason) == ("ab", "stop")
    assert (world.record.outcome, world.record.usage, world.record.cost_usd) == (Outcome.COMPLETE, REPORTED, Decimal(7))
    assert world.provider.closed == 1


async def test_only_parameters_on_the_list_reach_the_provider() -> None:
    world = World([DONE])
    await world.ask(params={"temperature": 1, "api_base": "x", "extra_headers": {}, "mock_response": "x"})
    assert world.provider.asked[0].params == {"temperature": 1}


@pytest.mark.parametrize(
    ("steps", "error", "outcome"),
    [
        ([UpstreamError(should_retry=False)] * 5, UpstreamError, Outcome.FAILED),
        ([InvalidRequest("no")], InvalidRequest, Outcome.REFUSED),
        ([ZeroDivisionError()], InternalError, Outcome.FAILED),
        ([text("a"), UpstreamError()], UpstreamError, Outcome.FAILED),
        ([text("a"), ZeroDivisionError()], InternalError, Outcome.FAILED),
        ([text("a"), InvalidRequest("late")], InvalidRequest, Outcome.FAILED),
        ([], UpstreamError, Outcome.FAILED),
        ([text("a")], UpstreamError, Outcome.FAILED),
        ([text("a"), text("b", index=1), DONE], UpstreamError, Outcome.FAILED),
        ([float("inf")], DeadlineExceeded, Outcome.FAILED),
    ],
)
async def test_a_failure_is_raised_as_itself_and_settled_once(
    steps: list[Step], error: type[GatewayError], outcome: Outcome
) -> None:
    world = World(*[steps] * 5, seconds=0.2)
    with pytest.raises(error) as failure:
        await world.ask()
    assert world.record.outcome is outcome
    assert world.record.error_code == failure.value.code
    assert not isinstance(failure.value, InternalError) or isinstance(failure.value.__cause__, ZeroDivisionError)


async def test_a_provider_that_breaks_after_it_finished_has_finished() -> None:
    world = World([text("a"), Chunk(finish_reasons={0: "stop"}), UpstreamError()])
    assert (await world.ask()).choices[0].finish_reason == "stop"
    assert (world.record.outcome, world.record.usage_source) == (Outcome.COMPLETE, UsageSource.ESTIMATED)


async def test_the_deadline_after_the_finish_and_before_the_usage_takes_nothing_away() -> None:
    world = World([text("a"), Chunk(finish_reasons={0: "stop"}), float("inf")], seconds=0.1)
    assert (await world.ask()).notice is None
    assert world.record.outcome is Outcome.COMPLETE


async def test_the_deadline_keeps_the_finish_of_a_choice_that_has_one() -> None:
    world = World([text("a"), text("b", index=1), Chunk(finish_reasons={0: "stop"}), float("inf")], seconds=0.1)
    result = await world.ask()
    assert [choice.finish_reason for choice in result.choices] == ["stop", "length"]
    assert result.notice is not None
    assert world.record.outcome is Outcome.PARTIAL


async def test_three_deployments_are_tried_at_the_most() -> None:
    world = World(*[[UpstreamError()]] * 5)
    with pytest.raises(UpstreamError):
        await world.ask()
    assert (len(world.provider.asked), world.record.attempts) == (3, 3)


async def test_a_request_that_no_deployment_could_serve_is_tried_once() -> None:
    world = World(*[[InvalidRequest("no")]] * 5)
    with pytest.raises(InvalidRequest):
        await world.ask()
    assert len(world.provider.asked) == 1


async def test_the_next_deployment_answers_where_the_first_failed() -> None:
    world = World([UpstreamError()], [text("b"), DONE])
    assert (await world.ask()).choices[0].content == "b"
    assert world.record.outcome is Outcome.COMPLETE


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        (Policy(scopes=frozenset({Scope.ADMIN})), InsufficientScope),
        (Policy(), InsufficientScope),
        (Policy(scopes=frozenset({Scope.INFERENCE}), models=("other",)), ModelNotFound),
    ],
)
async def test_what_a_key_may_not_do_reaches_no_provider(policy: Policy, error: type[GatewayError]) -> None:
    world = World([DONE])
    with pytest.raises(error):
        await world.ask(Principal(key_id="k", owner="o", policies=(policy,)))
    assert world.provider.asked == []
    assert world.record.outcome is Outcome.REFUSED
    assert world.record.usage == Usage()


async def test_a_reader_that_stops_early_closes_the_upstream_and_is_gone() -> None:
    world = World([text("a"), text("b"), float("inf")])
    async with world.open() as account:
        request = ChatRequest(model="m", messages=[])
        async with world.gateway.chat(account, request) as answer:
            async for _ in answer:
                break
    assert world.provider.closed == 1
    assert (world.record.outcome, world.record.usage_source) == (Outcome.CLIENT_GONE, UsageSource.ESTIMATED)


async def test_a_cancelled_call_is_settled_under_a_shield() -> None:
    world = World([text("a"), float("inf")])
    with anyio.move_on_after(0.1):
        await world.ask()
    assert world.record.outcome is Outcome.CLIENT_GONE
    assert world.provider.closed == 1


async def test_a_cancellation_while_it_settles_does_not_settle_again() -> None:
    settling, go_on = anyio.Event(), threading.Event()
    world = World([text("a"), DONE], sink=FakeSink(lambda: (anyio.from_thread.run_sync(settling.set), go_on.wait(5))))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.ask)
        await settling.wait()
        tasks.cancel_scope.cancel()
        go_on.set()
    assert world.record.outcome is Outcome.COMPLETE


async def test_a_sink_that_fails_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise OSError

    world = World([text("a"), DONE], sink=FakeSink(fail))
    assert (await world.ask()).choices[0].content == "a"
    assert "could not be written" in caplog.text


async def test_silence_brings_keep_alives_and_text_resets_the_clock() -> None:
    world = World([0.25, text("a"), 0.15, DONE], waiting=0.1)
    request = ChatRequest(model="m", messages=[])
    async with world.open() as account, world.gateway.chat(account, request) as answer:
        kinds = ["-" if isinstance(event, Waiting) else "text" async for event in answer]
    assert kinds in (["-", "-", "text", "-"], ["-", "text", "-"])


async def test_a_slow_reader_slows_the_provider() -> None:
    world = World([*(text("x") for _ in range(1000)), DONE])
    request = ChatRequest(model="m", messages=[])
    async with world.open() as account, world.gateway.chat(account, request) as answer:
        await anyio.wait_all_tasks_blocked()
        assert account.usage.output_tokens < 10
        assert sum(1 for event in [e async for e in answer] if isinstance(event, Chunk)) == 1000


async def test_a_reader_that_takes_nothing_after_the_deadline_is_given_up() -> None:
    world = World([*(text("x") for _ in range(100)), float("inf")], seconds=0.1)
    request = ChatRequest(model="m", messages=[])
    async with world.open() as account, world.gateway.chat(account, request):
        await anyio.sleep_forever()
    assert world.record.outcome is Outcome.CLIENT_GONE


async def test_an_error_of_the_surface_itself_is_a_failure_and_comes_out_as_it_is() -> None:
    world = World([text("a"), float("inf")])
    request = ChatRequest(model="m", messages=[])
    with pytest.raises(ZeroDivisionError):
        async with world.open() as account, world.gateway.chat(account, request):
            raise ZeroDivisionError
    assert (world.record.outcome, world.record.error_code) == (Outcome.FAILED, "internal_error")


async def test_nothing_is_counted_before_the_provider_is_asked() -> None:
    world = World([DONE])
    world.provider.preparing = float("inf")
    with anyio.move_on_after(0.1):
        await world.ask()
    assert world.provider.asked == []
    assert (world.record.outcome, world.record.usage, world.record.attempts) == (Outcome.CLIENT_GONE, Usage(), 0)


async def test_the_deadline_counts_while_the_call_is_prepared() -> None:
    world = World([DONE], seconds=0.1)
    world.provider.preparing = float("inf")
    with pytest.raises(DeadlineExceeded):
        await world.ask()
    assert world.record.usage == Usage()


async def test_a_provider_that_worked_until_the_deadline_may_have_sold_tokens() -> None:
    world = World([float("inf")], seconds=0.1)
    with pytest.raises(DeadlineExceeded):
        await world.ask()
    assert world.record.usage_source is UsageSource.ESTIMATED
    assert world.record.usage.input_tokens == 5


async def test_a_body_that_took_the_whole_time_is_told_so() -> None:
    world = World([DONE], seconds=5)
    with pytest.raises(DeadlineExceeded):
        async with world.open(arrived_before=6) as account:
            async with world.gateway.chat(account, ChatRequest(model="m", messages=[])) as answer:
                await collect(answer)
    assert world.provider.asked == []
    assert (world.record.outcome, world.record.usage) == (Outcome.FAILED, Usage())


async def test_the_last_attempt_is_kept_for_a_fallback() -> None:
    world = World(*[[UpstreamError()]] * 2, [text("a"), DONE])
    places = tuple(Deployment(model=f"x/{n}") for n in range(5))
    entries = [
        ModelEntry(name="m", deployments=places, fallbacks=("other",)),
        ModelEntry(name="other", deployments=(Deployment(model="y/other"),)),
    ]
    world.gateway.catalog = Catalog(entries)
    assert (await world.ask()).choices[0].content == "a"
    assert world.record.provider_model == "y/other"


async def test_a_record_is_written_although_no_thread_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.call.SETTLE_SECONDS", 0.1)
    go_on, all_taken = threading.Event(), threading.Barrier(5)
    busy = World(*[[DONE]] * 4, sink=FakeSink(lambda: (all_taken.wait(5), go_on.wait(5))))
    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(busy.ask)
        await anyio.to_thread.run_sync(all_taken.wait, 5)
        account = busy.open()
        account._sink = FakeSink()
        async with account:
            pass
        assert len(account._sink.records) == 1
        go_on.set()


async def test_a_shutdown_that_cancels_past_the_shield_still_writes_the_record() -> None:
    """As uvicorn does when its grace is over: the task itself is cancelled, not a scope."""
    import asyncio  # noqa: TID251  what is tested is a cancellation that anyio knows nothing of

    world = World([text("a"), float("inf")])
    task = asyncio.create_task(world.ask())
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.record.outcome is Outcome.CLIENT_GONE


async def test_a_price_that_cannot_be_told_costs_no_record() -> None:
    world = World([text("a"), DONE])
    world.provider.cost = lambda *_: 1 / 0  # type: ignore[assignment]
    await world.ask()
    assert (world.record.outcome, world.record.cost_usd) == (Outcome.COMPLETE, None)
