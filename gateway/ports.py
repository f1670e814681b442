"""What the core needs from outside, in the core's words. Adapters implement these; the core knows none of them."""

from collections.abc import AsyncGenerator, Iterable
from decimal import Decimal
from typing import Protocol

from gateway.catalog import Deployment, ModelFacts
from gateway.chat_types import ChatRequest, Chunk, Usage
from gateway.records import UsageRecord


class Provider(Protocol):
    """Asks a deployment's model."""

    async def prepare(self, deployment: Deployment, request: ChatRequest) -> tuple[Deployment, ChatRequest]:
        """All that has to be done before the provider is asked: attachments fetched, secrets read, libraries loaded.

        May be cancelled at any time.

        Raises:
            GatewayError: the request cannot be sent; no tokens were bought.
        """

    def stream(self, deployment: Deployment, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """The answer to a prepared request, as it comes. Every finish reason in it is one that the provider gave.

        Iterated by one task; cancelling that task closes the upstream connection.

        Raises:
            GatewayError: the provider refused, failed, or stopped without having finished.
        """

    def cost(self, deployment: Deployment, usage: Usage) -> Decimal | None:
        """What the usage costs in USD, or None where no price is known."""


class UsageSink(Protocol):
    """Where usage records go. Called once per call, off the event loop's thread."""

    def record(self, record: UsageRecord) -> None:
        """Write the record; must not raise for a reason that the caller could not mend."""


class TimeBudget(Protocol):
    """How long a call may take."""

    def seconds(self, *, streamed: bool, available: float | None) -> float:
        """From the arrival of the request to its last byte.

        Args:
            available: seconds from the arrival until the platform ends the request; None where nothing does.
        """


class PriceList(Protocol):
    """What is publicly known about models: windows, prices, capabilities."""

    def facts(self, model: str) -> ModelFacts | None:
        """About a provider model such as `openai/gpt-4o`; None where it is not listed."""

    def chat_models(self, prefix: str) -> Iterable[str]:
        """The chat models that begin with the prefix (`bedrock/`), with the prefix."""
