"""The use case, as one request lives it: resolve, authorise, set the deadline, ask the provider, settle, record.

async with gateway.open(call) as account:                      # whatever happens inside, one usage record
    async with gateway.chat(account, request) as answer:       # leaving the block closes the upstream
        async for event in answer:                             # Chunk, or Waiting when it is time for a keep-alive
            ...
        answer.ending                                          # finish reasons, usage, notice: settled by now
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from gateway.answer import Answer
from gateway.call import Account, Call
from gateway.chat_types import CHAT_PARAMS, ChatRequest
from gateway.errors import DeadlineExceeded, InsufficientScope
from gateway.identity import Scope
from gateway.scope import tasks_beside

if TYPE_CHECKING:
    from gateway.catalog import Catalog
    from gateway.ports import Provider, TimeBudget, UsageSink

RECORD_WRITERS = 4
# Before the platform's end even a slow reader is given up, so that the call is written down.
LAST_SECONDS = 0.5


class Gateway:
    """What every surface calls.

    Args:
        waiting_after: seconds of silence after which an answer yields `Waiting`.
        stalled_reader_after: seconds that a reader gets after the deadline to take the rest; one that takes nothing
            any more counts as gone.
    """

    def __init__(
        self,
        *,
        catalog: "Catalog",
        provider: "Provider",
        sink: "UsageSink",
        budget: "TimeBudget",
        waiting_after: float = 10.0,
        stalled_reader_after: float = 10.0,
    ) -> None:
        self.catalog = catalog
        self._provider = provider
        self._sink = sink
        self._budget = budget
        # Threads of their own: whatever else waits for a thread, a record does not.
        self._record_writers = anyio.CapacityLimiter(RECORD_WRITERS)
        self._waiting_after = waiting_after
        self._stalled_reader_after = stalled_reader_after

    def open(self, call: Call) -> Account:
        """The account of a call, to be entered before its body is read."""
        return Account(call, sink=self._sink, provider=self._provider, writers=self._record_writers)

    @asynccontextmanager
    async def chat(self, account: Account, request: ChatRequest) -> AsyncIterator[Answer]:
        """Ask the model; the answer streams while the block is open.

        Raises:
            InsufficientScope, ModelNotFound: before any provider is asked.
            GatewayError: from the iteration, when the provider fails or the deadline comes before any output.
        """
        principal = account.call.principal
        if Scope.INFERENCE not in principal.scopes:
            raise InsufficientScope
        model = self.catalog.resolve(request.model, principal)
        request = replace(request, params={k: v for k, v in request.params.items() if k in CHAT_PARAMS})
        account.asks(request, model)
        call = account.call
        limit = self._budget.seconds(streamed=request.stream, available=call.available)
        if account.elapsed >= limit:
            # The body alone took as long.
            raise DeadlineExceeded(limit_seconds=limit)
        answer = Answer(account, limit_seconds=limit)
        try:
            async with tasks_beside() as tasks:
                reader_deadline = answer.deadline + self._stalled_reader_after
                if call.platform_deadline is not None:
                    reader_deadline = min(reader_deadline, call.platform_deadline - LAST_SECONDS)
                tasks.cancel_scope.deadline = reader_deadline
                tasks.start_soon(answer.pump, self._provider, model, request)
                tasks.start_soon(answer.tick, self._waiting_after)
                yield answer
        finally:
            answer.close()
