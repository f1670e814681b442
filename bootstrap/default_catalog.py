"""The catalog without a models.yaml: the demo model, and every provider whose credentials are in the environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.catalog import Catalog, Deployment, ModelEntry

DEMO_MODEL = "demo/echo"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCredential:
    """The variables that LiteLLM reads for a provider. Any one of `any_of` tells that there are credentials."""

    prefix: str
    any_of: tuple[tuple[str, ...], ...]
    api_base_from: str | None = None


PROVIDERS = (
    ProviderCredential(prefix="openai", any_of=(("OPENAI_API_KEY",),), api_base_from="OPENAI_BASE_URL"),
    ProviderCredential(prefix="anthropic", any_of=(("ANTHROPIC_API_KEY",),), api_base_from="ANTHROPIC_BASE_URL"),
    ProviderCredential(prefix="azure", any_of=(("AZURE_API_KEY", "AZURE_API_BASE", "AZURE_API_VERSION"),)),
    ProviderCredential(
        prefix="bedrock",
        any_of=(
            ("AWS_BEARER_TOKEN_BEDROCK",),
            ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
            ("AWS_PROFILE",),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI",),
            ("AWS_WEB_IDENTITY_TOKEN_FILE",),
        ),
    ),
    ProviderCredential(prefix="gemini", any_of=(("GEMINI_API_KEY",),)),
    ProviderCredential(prefix="mistral", any_of=(("MISTRAL_API_KEY",),)),
    ProviderCredential(prefix="groq", any_of=(("GROQ_API_KEY",),)),
    ProviderCredential(prefix="deepseek", any_of=(("DEEPSEEK_API_KEY",),)),
    ProviderCredential(prefix="xai", any_of=(("XAI_API_KEY",),)),
    ProviderCredential(prefix="openrouter", any_of=(("OPENROUTER_API_KEY",),)),
)


def providers_at_hand(environment: Mapping[str, str]) -> list[ProviderCredential]:
    """Those whose credentials are set."""
    return [p for p in PROVIDERS if any(all(environment.get(name) for name in names) for names in p.any_of)]


def credentials_in(environment: Mapping[str, str]) -> list[str]:
    """The values of all variables that hold a provider's credential."""
    names = {name for provider in PROVIDERS for group in provider.any_of for name in group}
    secret = {name for name in names if name.endswith(("_KEY", "_TOKEN", "_BEDROCK", "_ID"))}
    return [environment[name] for name in sorted(secret) if environment.get(name)]


def default_catalog(environment: Mapping[str, str]) -> Catalog:
    """`demo/echo`, then `<provider>/*` for each provider at hand."""
    entries = [ModelEntry(name=DEMO_MODEL, deployments=(Deployment(model=DEMO_MODEL),))]
    for provider in providers_at_hand(environment):
        base = environment.get(provider.api_base_from) if provider.api_base_from else None
        deployment = Deployment(model=f"{provider.prefix}/*", params={"api_base": base} if base else {})
        entries.append(ModelEntry(name=f"{provider.prefix}/*", deployments=(deployment,)))
    return Catalog(entries)
