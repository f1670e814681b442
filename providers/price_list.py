"""LiteLLM's list of windows and prices, read as data: the package itself is never imported for it."""

import json
from collections.abc import Iterable
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gateway.catalog import ModelFacts

FILE = "model_prices_and_context_window_backup.json"
# LiteLLM's names for a provider in the list, where they differ from its prefix in model names.
LISTED_AS = {
    "bedrock": frozenset({"bedrock", "bedrock_converse"}),
    "vertex_ai": frozenset({"vertex_ai-language-models"}),
}
CAPABILITIES = {
    "supports_function_calling": "tools",
    "supports_vision": "vision",
    "supports_response_schema": "json_schema",
    "supports_reasoning": "reasoning",
    "supports_prompt_caching": "prompt_caching",
    "supports_pdf_input": "pdf",
    "supports_audio_input": "audio_input",
}


class LiteLLMPriceList:
    """`gateway.ports.PriceList` over the file in LiteLLM's package."""

    @cached_property
    def _entries(self) -> dict[str, dict[str, Any]]:
        # Finding a top-level package does not run it.
        spec = find_spec("litellm")
        if spec is None or not spec.submodule_search_locations:
            return {}
        entries = json.loads((Path(spec.submodule_search_locations[0]) / FILE).read_bytes())
        entries.pop("sample_spec", None)
        return dict(entries)

    def facts(self, model: str) -> ModelFacts | None:
        """Windows, prices and capabilities; the name may or may not have LiteLLM's prefix."""
        if model.startswith("demo/"):
            return DEMO_FACTS
        found = self._entries.get(model) or self._entries.get(model.partition("/")[2])
        if found is None:
            return None
        return ModelFacts(
            max_input_tokens=_whole(found.get("max_input_tokens")),
            max_output_tokens=_whole(found.get("max_output_tokens")),
            input_cost_per_token=found.get("input_cost_per_token"),
            output_cost_per_token=found.get("output_cost_per_token"),
            mode=found.get("mode"),
            provider=found.get("litellm_provider"),
            capabilities=frozenset(name for flag, name in CAPABILITIES.items() if found.get(flag)),
        )

    def providers(self) -> frozenset[str]:
        """Every provider that the list names, by LiteLLM's prefix."""
        listed = {str(entry.get("litellm_provider")) for entry in self._entries.values()}
        return frozenset(listed | {name.partition("/")[0] for name in self._entries if "/" in name} | LISTED_AS.keys())

    def chat_models(self, prefix: str) -> Iterable[str]:
        """With the prefix, sorted."""
        provider = prefix.partition("/")[0]
        listed_as = LISTED_AS.get(provider, frozenset({provider}))
        names = (
            name if name.startswith(f"{provider}/") else f"{provider}/{name}"
            for name, entry in self._entries.items()
            if entry.get("mode") == "chat" and entry.get("litellm_provider") in listed_as
        )
        # Names with a region or a commitment in them are price rows, not models to call.
        return sorted({n for n in names if n.startswith(prefix) and n.count("/") == 1})


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) else None


DEMO_FACTS = ModelFacts(
    max_input_tokens=1_000_000,
    max_output_tokens=1_000_000,
    input_cost_per_token=0.0,
    output_cost_per_token=0.0,
    mode="chat",
    provider="demo",
    capabilities=frozenset({"tools", "json_schema"}),
)
