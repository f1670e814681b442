"""The one door to the models: LiteLLM for real providers, and an offline demo model."""

import os

# LiteLLM reads these at its import, whichever of our modules comes to import it first; they are written here, not read.
os.environ.update(  # noqa: TID251
    # Otherwise the import, and the first call to some providers, fetch files from the network.
    LITELLM_LOCAL_MODEL_COST_MAP="True",
    LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS="True",
    # Keeps it from reading a .env file.
    LITELLM_MODE="PRODUCTION",
)
