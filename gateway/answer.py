"""An answer while it comes in: a child task pumps the provider's stream into a small buffer, the surface reads from it.

The pump owns the upstream connection: cancelling it is the one way that closes the connection for every provider
(LiteLLM's iterators do not all close on `aclose`). The reader never runs inside the deadline's cancel scope.
"""

import logging
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Self

import anyio

from gateway.chat_types import WAITING, ChatRequest, Chunk, Ending, Notice, Waiting
from gateway.errors import DeadlineExceeded, GatewayError, InternalError, UpstreamError
from gateway.records import Outcome
from gateway.redaction import stack_of

if TYPE_CHECKING:
    from gateway.call import Account
    from gateway.catalog import ResolvedModel
    from gateway.ports import Provider

logger = logging.getLogger(__name__)

# Enough to smooth out a burst, small enough that a slow reader slows the provider down.
BUFFERED_EVENTS = 16
# The client's SDK tries three times by itself; each of our attempts multiplies with that.
MAX_ATTEMPTS = 3


class Answer:
    """Iterate it for `Chunk`s and `Waiting`s; after the last one `ending` is set and the call is settled.

    Raises (from the iteration):
        GatewayError: the provider failed, or the deadline came before any output. The call is settled by then, too.
    """

    def __init__(self, account: "Account", *, limit_seconds: float) -> None:
        self._account = account
        self._limit = limit_seconds
        self.deadline = account.call.started + limit_seconds
        self.ending: Ending | None = None
        self._out_of_time = False
        self._failure: Exception | None = None
        self._seen: set[int] = set()
        self._finish_reasons: dict[int, str] = {}
        self._send, self._receive = anyio.create_memory_object_stream[Chunk | Waiting](BUFFERED_EVENTS)
        self._last_event_at = account.call.started

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk | Waiting:
        if self.ending is not None:
            raise StopAsyncIteration
        try:
            return await self._receive.receive()
        except anyio.EndOfStream:
            self.ending = await self._end()
            raise StopAsyncIteration from None

    def close(self) -> None:
        """Let go of the buffer."""
        self._receive.close()

    async def pump(self, provider: "Provider", model: "ResolvedModel", request: ChatRequest) -> None:
        """Move the provider's chunks into the buffer until it ends, fails, or the deadline comes."""
        with self._send:
            with anyio.CancelScope(deadline=self.deadline) as scope:
                try:
                    async with aclosing(self._chunks(provider, model, request)) as chunks:
                        async for chunk in chunks:
                            await self._take(chunk)
                except Exception as error:  # noqa: BLE001  the reader's task raises it
                    self._failure = error
            self._out_of_time = scope.cancelled_caught

    async def tick(self, interval: float) -> None:
        """Put a `Waiting` into the buffer whenever it was empty and silent for that many seconds."""
        while not math.isinf(interval):
            now = anyio.current_time()
            if now < self._last_event_at + interval:
                await anyio.sleep_until(self._last_event_at + interval)
                continue
            self._last_event_at = now
            try:
                self._send.send_nowait(WAITING)
            except anyio.WouldBlock:
                pass  # the reader has enough to do
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                return

    async def _chunks(
        self, provider: "Provider", model: "ResolvedModel", request: ChatRequest
    ) -> AsyncGenerator[Chunk, None]:
        """The chunks of the first deployment that answers. Once one has begun, there is no way back."""
        last_failure: GatewayError = UpstreamError()
        for candidate in model.attempts(MAX_ATTEMPTS):
            begun = False
            try:
                deployment, request = await provider.prepare(candidate, request)
                self._account.tries(candidate)
                async with aclosing(provider.stream(deployment, request)) as chunks:
                    async for chunk in chunks:
                        begun = begun or bool(chunk.choices)
                        yield chunk
            except GatewayError as failure:
                if begun or not failure.another_deployment_may_help:
                    raise
                last_failure = failure
            else:
                return
        raise last_failure

    async def _take(self, chunk: Chunk) -> None:
        self._account.meters(chunk)
        self._finish_reasons.update(chunk.finish_reasons)
        if chunk.choices:
            self._seen.update(choice.index for choice in chunk.choices)
            self._last_event_at = anyio.current_time()
            await self._send.send(chunk)

    async def _end(self) -> Ending:
        """Settle the call, and say how it ended."""
        finished = bool(self._finish_reasons) and self._seen <= self._finish_reasons.keys()
        if finished:
            # Whatever broke after that broke after the provider had said everything.
            await self._account.settle(Outcome.COMPLETE)
            return Ending(finish_reasons=self._finish_reasons, usage=self._account.usage)
        if self._out_of_time and self._account.has_output:
            return await self._end_as_part()
        failure = self._why()
        await self._account.settle_failure(failure)
        raise failure

    async def _end_as_part(self) -> Ending:
        notice = Notice(
            code="deadline",
            message=f"The answer was cut at the time limit of {self._limit:g} s; it is incomplete.",
            limit=self._limit,
            elapsed=round(self._account.elapsed, 3),
        )
        await self._account.settle(Outcome.PARTIAL, notice=notice)
        reasons = {index: self._finish_reasons.get(index, "length") for index in self._seen or {0}}
        return Ending(finish_reasons=reasons, usage=self._account.usage, notice=notice)

    def _why(self) -> GatewayError:
        if self._out_of_time:
            return DeadlineExceeded(limit_seconds=self._limit)
        if isinstance(self._failure, GatewayError):
            return self._failure
        if self._failure is not None:
            logger.error("a call failed inside: %s", stack_of(self._failure))
            internal = InternalError()
            internal.__cause__ = self._failure
            return internal
        return UpstreamError("The model's provider ended its answer without having finished it.")
