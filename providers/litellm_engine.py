"""The one importer of LiteLLM: about 2.5 s of CPU, so `door` loads this module when the first real model is called."""

import logging
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

os.environ.update(  # noqa: TID251  LiteLLM reads these at its import; they are written here, not read
    # Otherwise the import, and the first call to some providers, fetch files from the network.
    LITELLM_LOCAL_MODEL_COST_MAP="True",
    LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS="True",
    # Keeps it from reading a .env file.
    LITELLM_MODE="PRODUCTION",
)

import anyio
import litellm

from gateway.catalog import Deployment
from gateway.chat_types import CHAT_PARAMS, ChatRequest, Chunk, Usage
from gateway.errors import UpstreamError
from providers.litellm_chunks import FinishEvidence, chunk_from, chunk_from_whole
from providers.litellm_failures import provider_text, translated

litellm.suppress_debug_info = True
litellm.drop_params = True
litellm.disable_token_counter = True
litellm.telemetry = False
# LiteLLM breaks off an answer that says the same piece a hundred times, as a table's ruler does.
litellm.REPEATED_STREAMING_CHUNK_LIMIT = sys.maxsize  # type: ignore[attr-defined]

logger = logging.getLogger(__name__)
SMALLEST = Decimal("1e-12")
REFUSES_REQUEST = frozenset({400, 413, 422})


class LiteLLMEngine:
    """Chat through LiteLLM, always streamed unless the deployment says otherwise."""

    def __init__(self, *, read_timeout: float) -> None:
        # LiteLLM's timeout is per read; the whole call is bounded by the core's deadline.
        self._read_timeout = read_timeout

    async def stream(self, deployment: Deployment, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """See `gateway.ports.Provider.stream`."""
        try:
            if deployment.plain_upstream:
                response = await litellm.acompletion(**self._arguments(deployment, request))
                yield chunk_from_whole(response)
                return
            wrapper = await litellm.acompletion(
                **self._arguments(deployment, request), stream=True, stream_options={"include_usage": True}
            )
            evidence = FinishEvidence(wrapper)
            seen: set[int] = set()
            usage: Usage | None = None
            async with _closed_after(wrapper):
                async for theirs in wrapper:
                    chunk = chunk_from(theirs)
                    usage = chunk.usage or usage
                    if chunk.choices:
                        seen.update(choice.index for choice in chunk.choices)
                        yield Chunk(choices=chunk.choices)
            reasons = evidence.reasons(seen)
        except Exception as error:
            _log_failure(deployment, error)
            raise translated(error) from error
        if not reasons:
            message = "The model's provider ended its answer without having finished it."
            raise UpstreamError(message, should_retry=False if seen else None)
        yield Chunk(finish_reasons=reasons, usage=usage)

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
async def _closed_after(wrapper: Any) -> AsyncIterator[None]:
    """Closes the provider's connection when the block is left while the reader was busy elsewhere.

    LiteLLM's iterators close it only when they are cancelled where they wait for the provider; their `aclose` leaves
    some open. So the iterator is driven on under a cancelled scope, through what it has buffered to its next wait.
    """
    try:
        yield
    except GeneratorExit:
        with anyio.CancelScope() as scope:
            scope.cancel()
            with suppress(Exception):
                async for _ in wrapper:
                    pass
        raise


def _log_failure(deployment: Deployment, error: Exception) -> None:
    """What an operator needs to mend it. A refusal of the caller's request may quote the request: without its text."""
    status = getattr(error, "status_code", None)
    quotes_request = status in REFUSES_REQUEST or isinstance(error, litellm.exceptions.MidStreamFallbackError)
    text = "" if quotes_request else f": {provider_text(error)}"
    logger.warning("provider %s failed: %s, status %s%s", deployment.provider, type(error).__name__, status, text)
