"""What a first call costs with LiteLLM alone: import it, ask, wait for the first piece. Argument: the call."""

import asyncio
import json
import os
import sys

# As the product sets them: without these the import asks the network.
os.environ.update(
    LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS="True", LITELLM_MODE="PRODUCTION"
)
sys.path.insert(0, sys.argv[1])

import litellm

litellm.suppress_debug_info = True
litellm.disable_token_counter = True


async def main() -> None:
    """Ask, and stop at the first piece of text."""
    stream = await litellm.acompletion(**json.loads(sys.argv[2]), stream=True)
    async for chunk in stream:
        if chunk.choices[0].delta.content:
            break
    os._exit(0)


asyncio.run(main())
