"""The one door to the models: LiteLLM for real providers, and an offline demo model."""
