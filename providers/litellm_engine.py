"""Asks LiteLLM. The import takes about 2.5 s of CPU: `door` loads this module when the first real model is called."""

import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

import anyio
import litellm

from gateway.catalog import Deployment
from gateway.chat_types import CHAT_PARAMS, ChatRequest, Chunk, Usage
from gateway.errors import GatewayError
from providers.litellm_chunks import AnswerReader
from providers.litellm_endings import BodyEvidence, StreamEvidence, make_finish_reasons_honest
from providers.litellm_failures import provider_text, translated

litellm.suppress_debug_info = True
litellm.drop_params = True
litellm.disable_token_counter = True
# Mends what a provider would refuse: a turn after a tool call whose thinking the chat format did not carry, for one.
litellm.modify_params = True
litellm.telemetry = False
# LiteLLM breaks off an answer that says the same piece a hundred times, as a table's ruler does.
litellm.REPEATED_STREAMING_CHUNK_LIMIT = sys.maxsize  # type: ignore[attr-defined]
make_finish_reasons_honest()

logger = logging.getLogger(__name__)
SMALLEST = Decimal("1e-12")
# Refusals of the deployment and not of the request: what the provider says helps to mend it, and quotes no prompt.
ABOUT_THE_DEPLOYMENT = frozenset({401, 403, 404})


def _silence_litellm() -> None:
    """Its loggers have handlers of their own, past our redaction, and quote prompts and tool arguments."""
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.setLevel(logging.CRITICAL)


_silence_litellm()


class LiteLLMEngine:
    """Chat through LiteLLM, always streamed unless the deployment says otherwise.

    Args:
        read_timeout: seconds for a single read; the whole call is bounded by the core's deadline.
        hidden: credentials that must not show in what a provider is quoted with, beside the deployment's own.
    """

    def __init__(self, *, read_timeout: float, hidden: Iterable[str] = ()) -> None:
        self._read_timeout = read_timeout
        self._hidden = tuple(hidden)

    async def stream(self, deployment: Deployment, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """See `gateway.ports.Provider.stream`."""
        reader = AnswerReader()
        ask = self._plain if deployment.plain_upstream else self._streamed
        try:
            async with aclosing(ask(deployment, request, reader)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except Exception as error:
            hidden = (*self._hidden, *_credentials(deployment))
            _log_failure(deployment, error, hidden)
            raise translated(error, hidden, begun=bool(reader.seen)) from error

    async def _plain(
        self, deployment: Deployment, request: ChatRequest, reader: AnswerReader
    ) -> AsyncGenerator[Chunk, None]:
        evidence = BodyEvidence()
        response = await litellm.acompletion(**self._arguments(deployment, request), logger_fn=evidence)
        chunk = reader.whole(response)
        yield Chunk(choices=chunk.choices, finish_reasons=evidence.reasons(response.choices, reader), usage=chunk.usage)

    async def _streamed(
        self, deployment: Deployment, request: ChatRequest, reader: AnswerReader
    ) -> AsyncGenerator[Chunk, None]:
        wrapper = await litellm.acompletion(
            **self._arguments(deployment, request), stream=True, stream_options={"include_usage": True}
        )
        evidence = StreamEvidence(wrapper)
        usage: Usage | None = None
        async with _closed_after(wrapper, evidence):
            async for theirs in wrapper:
                chunk = reader.chunk(theirs)
                usage = chunk.usage or usage
                if chunk.choices:
                    yield Chunk(choices=chunk.choices)
        # What was reported counts, also where the answer turns out not to be whole.
        yield Chunk(usage=usage)
        yield Chunk(finish_reasons=evidence.reasons(reader))

    def cost(self, deployment: Deployment, usage: Usage) -> Decimal | None:
        """By LiteLLM's price list, cached tokens at their own price."""
        try:
            prices = litellm.cost_per_token(
                model=deployment.priced_as,
                usage_object=litellm.Usage(
                    prompt_tokens=usage.input_tokens,
                    completion_tokens=usage.output_tokens,
                    total_tokens=usage.input_tokens + usage.output_tokens,
                    prompt_tokens_details={"cached_tokens": usage.cache_read_tokens},
                    completion_tokens_details={"reasoning_tokens": usage.reasoning_tokens},
                    cache_creation_input_tokens=usage.cache_write_tokens,
                    cache_read_input_tokens=usage.cache_read_tokens,
                ),
            )
        except Exception:  # noqa: BLE001  it raises a bare Exception for a model that it has no price for
            return None
        # LiteLLM computes in floats: what is below a millionth of a millionth of a dollar is their noise.
        return sum((Decimal(str(price)) for price in prices), Decimal(0)).quantize(SMALLEST).normalize()

    def _arguments(self, deployment: Deployment, request: ChatRequest) -> dict[str, Any]:
        """The operator's parameters, and of the caller's only those on the allow-list."""
        return {
            **{name: value for name, value in request.params.items() if name in CHAT_PARAMS and value is not None},
            **deployment.params,
            "model": deployment.model,
            "messages": [dict(message) for message in request.messages],
            "timeout": self._read_timeout,
            # The core tries other deployments, the caller's SDK tries again: LiteLLM must do neither.
            "num_retries": 0,
            "max_retries": 0,
        }


@asynccontextmanager
async def _closed_after(wrapper: Any, evidence: StreamEvidence) -> AsyncIterator[None]:
    """Closes the provider's connection when the block is left while the reader was busy elsewhere.

    LiteLLM's iterators close it only when they are cancelled where they wait for the provider; their `aclose` leaves
    some open. So the iterator is driven on under a cancelled scope, through what it has buffered to its next wait.
    """
    try:
        yield
    except GeneratorExit:
        evidence.drop_the_rest()
        with anyio.CancelScope() as scope:
            scope.cancel()
            with suppress(Exception):
                async for _ in wrapper:
                    pass
        raise


def _credentials(deployment: Deployment) -> Iterable[str]:
    return (value for value in deployment.params.values() if isinstance(value, str))


def _log_failure(deployment: Deployment, error: Exception, hidden: Iterable[str]) -> None:
    """What an operator needs to mend it, without text that may quote the request or the answer."""
    status = getattr(error, "status_code", None)
    kind = error.code if isinstance(error, GatewayError) else type(error).__name__
    text = f": {provider_text(error, hidden)}" if status in ABOUT_THE_DEPLOYMENT else ""
    logger.warning("provider %s failed: %s, status %s%s", deployment.provider, kind, status, text)
