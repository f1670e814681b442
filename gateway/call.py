"""The account of one call: what it used so far, settled and recorded exactly once, however it ends."""

import logging
import threading
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
import anyio.to_thread
from typing_extensions import override

from gateway import estimate
from gateway.chat_types import ChatRequest, Chunk, Notice, Usage
from gateway.errors import DeadlineExceeded, GatewayError, InvalidRequest
from gateway.identity import PRINCIPAL
from gateway.records import Outcome, UsageRecord, UsageSource
from gateway.redaction import stack_of

if TYPE_CHECKING:
    from gateway.catalog import Deployment, ResolvedModel
    from gateway.identity import Principal
    from gateway.ports import Provider, UsageSink

# Where the outermost layer leaves the request's id and its time of arrival (the event loop's clock) in an ASGI scope.
REQUEST_ID: Final = "zerogate.request_id"
ARRIVED: Final = "zerogate.arrived"
# When the platform ends the request, on the same clock; only where it does.
PLATFORM_DEADLINE: Final = "zerogate.platform_deadline"

# Recording must not hold an answer back for long, nor be lost to a client that left.
SETTLE_SECONDS = 5.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as it came in.

    Attributes:
        surface: `openai`, `anthropic` or `mcp`.
        endpoint: the route or the tool.
        started: on the event loop's clock, when the request arrived: time in a queue counts.
        platform_deadline: on the same clock, when the platform ends the request; None where nothing does.
    """

    request_id: str
    principal: "Principal"
    surface: str
    endpoint: str
    started: float
    platform_deadline: float | None = None

    @classmethod
    def from_scope(cls, scope: Mapping[str, Any], *, surface: str, endpoint: str) -> Self:
        """The call behind an ASGI scope that went through the request context and the guard."""
        return cls(
            request_id=scope[REQUEST_ID],
            principal=scope[PRINCIPAL],
            surface=surface,
            endpoint=endpoint,
            started=scope[ARRIVED],
            platform_deadline=scope.get(PLATFORM_DEADLINE),
        )

    @property
    def available(self) -> float | None:
        """Seconds from the arrival until the platform ends the request."""
        return None if self.platform_deadline is None else self.platform_deadline - self.started


class Account(AbstractAsyncContextManager["Account"]):
    """Open while the call is served; whatever way the block is left, one usage record is written.

    An answer settles at its end, before its last byte goes out. What leaves the block unsettled was refused (an error
    before any provider was asked), failed (after), or belongs to a client that is gone.
    """

    def __init__(self, call: Call, *, sink: "UsageSink", provider: "Provider", writers: anyio.CapacityLimiter) -> None:
        self.call = call
        self._sink = sink
        self._writers = writers
        self._provider = provider
        self._request: ChatRequest | None = None
        self._model: ResolvedModel | None = None
        self._deployment: Deployment | None = None
        self._attempts = 0
        self._reported: Usage | None = None
        self._output_bytes = 0
        self._first_output_at: float | None = None
        self._settled = False

    @override
    async def __aenter__(self) -> Self:
        return self

    @override
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, GatewayError):
            await self.settle_failure(error)
        elif isinstance(error, Exception) and not isinstance(error, OSError):
            await self.settle(Outcome.FAILED, error_code="internal_error")
        else:
            # Cancelled, a broken connection, or a facade that stopped reading: nobody is there any more.
            await self.settle(Outcome.CLIENT_GONE)

    def asks(self, request: ChatRequest, model: "ResolvedModel") -> None:
        """Note what was asked for."""
        self._request, self._model = request, model

    def tries(self, deployment: "Deployment") -> None:
        """Note that a provider is asked now: from here on tokens may be bought."""
        self._deployment = deployment
        self._attempts += 1

    def meters(self, chunk: Chunk) -> None:
        """Count a chunk of the answer."""
        if chunk.usage is not None:
            self._reported = chunk.usage
        for choice in chunk.choices:
            if choice.has_output:
                if self._first_output_at is None:
                    self._first_output_at = anyio.current_time()
                for text in (choice.content, choice.reasoning, choice.refusal):
                    self._output_bytes += len(text.encode(errors="surrogatepass")) if text else 0
                self._output_bytes += sum(len(call.arguments) + len(call.name or "") for call in choice.tool_calls)

    @property
    def has_output(self) -> bool:
        """Whether the model has said anything yet."""
        return self._first_output_at is not None

    @property
    def elapsed(self) -> float:
        """Seconds since the request arrived."""
        return anyio.current_time() - self.call.started

    @property
    def usage(self) -> Usage:
        """What the provider reported, or else the estimate."""
        if self._reported is not None:
            return self._reported
        if self._request is None or not self._attempts:
            return Usage()
        return Usage(
            input_tokens=estimate.input_tokens(self._request),
            output_tokens=estimate.tokens_of_bytes(self._output_bytes),
        )

    @property
    def _source(self) -> UsageSource:
        if self._reported is not None:
            return UsageSource.REPORTED
        return UsageSource.ESTIMATED if self.usage != Usage() else UsageSource.NONE

    async def settle_failure(self, error: GatewayError) -> None:
        """Settle a call that ends in this error: refused when the caller was at fault and no provider said a word."""
        at_fault = not error.is_server_fault and (isinstance(error, InvalidRequest) or not self._attempts)
        refused = at_fault and not self.has_output
        await self.settle(Outcome.REFUSED if refused else Outcome.FAILED, error_code=error.code)

    async def settle(self, outcome: Outcome, *, error_code: str | None = None, notice: Notice | None = None) -> None:
        """Write the record, once: further calls do nothing. Not cut short by a client that leaves."""
        if self._settled:
            return
        self._settled = True
        record = self._as_record(outcome, error_code, notice)
        claim = threading.Lock()

        def write() -> None:
            if not claim.acquire(blocking=False):
                return
            try:
                self._sink.record(record)
            except Exception:
                # The answer is worth more than its record; the log must say that one is missing.
                logger.exception("the usage record of request %s could not be written", record.request_id)

        with anyio.CancelScope(shield=True, deadline=anyio.current_time() + SETTLE_SECONDS):
            try:
                await anyio.to_thread.run_sync(write, abandon_on_cancel=True, limiter=self._writers)
            finally:
                # Does nothing, unless no thread was free in time or a shutdown cancelled the task past the shield.
                write()

    def _cost(self, usage: Usage) -> Decimal | None:
        if self._deployment is None or usage == Usage():
            return None
        try:
            return self._provider.cost(self._deployment, usage)
        except Exception as error:  # noqa: BLE001  a price that cannot be told must not cost the record
            logger.error("the cost of request %s cannot be told: %s", self.call.request_id, stack_of(error))  # noqa: TRY400  stack_of leaves the text out
            return None

    def _as_record(self, outcome: Outcome, error_code: str | None, notice: Notice | None) -> UsageRecord:
        call, principal = self.call, self.call.principal
        # A provider that refused sold nothing; one that was still working when the time was over may have.
        refused = outcome in {Outcome.FAILED, Outcome.REFUSED} and error_code != DeadlineExceeded.code
        nothing_sold = refused and not self.has_output and self._reported is None
        usage = Usage() if nothing_sold else self.usage
        first = self._first_output_at
        return UsageRecord(
            request_id=call.request_id,
            surface=call.surface,
            endpoint=call.endpoint,
            key_id=principal.key_id,
            owner=principal.owner,
            team=principal.team,
            model=self._model.entry if self._model else None,
            provider_model=self._deployment.model if self._deployment else None,
            streamed=bool(self._request and self._request.stream),
            outcome=outcome,
            usage=usage,
            usage_source=UsageSource.NONE if nothing_sold else self._source,
            cost_usd=self._cost(usage),
            latency_ms=round(self.elapsed * 1000),
            time_to_first_token_ms=round((first - call.started) * 1000) if first is not None else None,
            attempts=self._attempts,
            error_code=error_code,
            notice_code=notice.code if notice else None,
        )
