"""Picks the engine for a deployment, and loads LiteLLM only when the first real model is called."""

import importlib
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

import anyio
import anyio.to_thread

from gateway.catalog import Deployment
from gateway.chat_types import ChatRequest, Chunk, Usage
from providers.demo import DemoModel

if TYPE_CHECKING:
    from gateway.ports import PriceList
    from providers.attachments import Attachments

DEMO_PREFIX = "demo/"
MAX_SECRET_READERS = 4


class Engine(Protocol):
    """Speaks to providers: the core's port, less the attachments."""

    def stream(self, deployment: Deployment, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """As `gateway.ports.Provider.stream`."""

    def cost(self, deployment: Deployment, usage: Usage) -> Decimal | None:
        """As `gateway.ports.Provider.cost`."""


class Providers:
    """`gateway.ports.Provider` over all engines.

    Args:
        attachments: turns URLs in messages into data before any provider sees them.
        resolve_secret: the value behind `ssm:/path`; blocking, called in a worker thread.
        hidden: credentials from elsewhere than the catalog, which must not show when a provider is quoted.
    """

    def __init__(
        self,
        *,
        attachments: "Attachments",
        price_list: "PriceList",
        resolve_secret: Callable[[str], str],
        hidden: Iterable[str] = (),
        read_timeout: float = 600.0,
    ) -> None:
        self._attachments = attachments
        self._price_list = price_list
        self._resolve_secret = resolve_secret
        self._hidden = tuple(hidden)
        self._read_timeout = read_timeout
        self._demo = DemoModel()
        self._litellm: Engine | None = None
        self._loading = anyio.Lock()
        self._secret_readers = anyio.CapacityLimiter(MAX_SECRET_READERS)

    async def prepare(self, deployment: Deployment, request: ChatRequest) -> tuple[Deployment, ChatRequest]:
        """See the port."""
        messages = await self._attachments.inlined(request.messages)
        await self._engine(deployment)
        return await self._with_secrets(deployment), replace(request, messages=messages)

    async def stream(self, deployment: Deployment, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """See the port."""
        engine = await self._engine(deployment)
        async with aclosing(engine.stream(deployment, request)) as chunks:
            async for chunk in chunks:
                yield chunk

    def cost(self, deployment: Deployment, usage: Usage) -> Decimal | None:
        """In USD; None where no price is known."""
        facts = deployment.facts
        if facts.input_cost_per_token is not None and facts.output_cost_per_token is not None:
            return usage.input_tokens * Decimal(str(facts.input_cost_per_token)) + usage.output_tokens * Decimal(
                str(facts.output_cost_per_token)
            )
        if deployment.model.startswith(DEMO_PREFIX):
            return self._demo.cost(deployment, usage)
        return self._litellm.cost(deployment, usage) if self._litellm else None

    async def _engine(self, deployment: Deployment) -> Engine:
        if deployment.model.startswith(DEMO_PREFIX):
            return self._demo
        if self._litellm is not None:
            return self._litellm
        async with self._loading:
            if self._litellm is None:
                # In a thread: the import takes seconds, and keep-alives must go out meanwhile. A call that gives up
                # leaves the thread to finish for the next one.
                module = await anyio.to_thread.run_sync(
                    importlib.import_module, "providers.litellm_engine", abandon_on_cancel=True
                )
                self._litellm = module.LiteLLMEngine(read_timeout=self._read_timeout, hidden=self._hidden)
        return self._litellm

    async def _with_secrets(self, deployment: Deployment) -> Deployment:
        references = {n: v for n, v in deployment.params.items() if isinstance(v, str) and v.startswith("ssm:")}
        if not references:
            return deployment
        values = {
            name: await anyio.to_thread.run_sync(
                self._resolve_secret,
                str(reference).removeprefix("ssm:"),
                # A call that gives up does not wait for AWS.
                abandon_on_cancel=True,
                limiter=self._secret_readers,
            )
            for name, reference in references.items()
        }
        return replace(deployment, params={**deployment.params, **values})
