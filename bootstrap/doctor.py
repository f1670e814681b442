"""`zerogate doctor`: what is configured, what is missing, and how to mend it."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from auth.cognito import StoreMisconfiguredError, StoreUnavailableError, read_once
from bootstrap.cognito_client import build_client
from bootstrap.core import load_catalog
from bootstrap.default_catalog import DEMO_MODEL, PROVIDERS, providers_at_hand
from bootstrap.serve import data_folder
from bootstrap.settings import Settings
from gateway.catalog import Catalog
from gateway.catalog_file import CatalogError
from providers.price_list import LiteLLMPriceList


class Level(StrEnum):
    """How good a finding is."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report; `mend` says what to do about it."""

    level: Level
    text: str
    mend: str | None = None


def examine(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Everything that can be told from here. Asks Cognito only when a pool is set, and no provider."""
    yield _python()
    yield from _packages()
    yield from _models(settings, environ)
    yield from _credentials(settings, environ)
    yield _keys(settings)


def _python() -> Finding:
    return Finding(level=Level.GOOD, text=f"Python {sys.version.split()[0]} at {sys.prefix}")


def _packages() -> Iterator[Finding]:
    for extra, names in {"server": ("litellm", "mcp", "boto3"), "local": ("uvicorn", "moto", "flask")}.items():
        missing = [name for name in names if find_spec(name) is None]
        if missing:
            mend = f"pip install 'zerogate[{extra}]'"
            yield Finding(level=Level.BAD, text=f"not installed: {', '.join(missing)}", mend=mend)
        else:
            yield Finding(level=Level.GOOD, text=f"packages of zerogate[{extra}] are installed")


def _models(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        catalog = load_catalog(settings, environ)
    except CatalogError as error:
        for problem in error.problems:
            yield Finding(level=Level.BAD, text=f"{settings.models_file}: {problem}", mend="see docs/configuration.md")
        return
    yield from _deployments(catalog, environ)
    source = str(settings.models_file or "no models file: the environment's credentials and the demo model")
    names = ", ".join(entry.name for entry in catalog.entries)
    yield Finding(level=Level.GOOD, text=f"models from {source}: {names}")
    if settings.default_model and not catalog.knows(settings.default_model):
        text = f"ZEROGATE_DEFAULT_MODEL names {settings.default_model!r}, which no entry serves"
        yield Finding(level=Level.BAD, text=text, mend="`zerogate models` lists the names")


def _deployments(catalog: Catalog, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Entries that cannot work as they are."""
    known = LiteLLMPriceList().providers() | {DEMO_MODEL.partition("/")[0], "hosted_vllm", "ollama", "openai_like"}
    at_hand = {provider.prefix for provider in providers_at_hand(environ)}
    for entry in catalog.entries:
        for deployment in entry.deployments:
            if "/" in deployment.model and deployment.provider not in known:
                text = f"{entry.name}: LiteLLM may not know the provider {deployment.provider!r}"
                yield Finding(level=Level.NOTE, text=text, mend="see docs.litellm.ai/docs/providers for the names")
            needs = next((p for p in PROVIDERS if p.prefix == deployment.provider), None)
            brings = any(name.startswith(("api_key", "aws_")) for name in deployment.params)
            if needs and needs.prefix not in at_hand and not brings:
                text = f"{entry.name}: no credentials for {needs.prefix}"
                yield Finding(level=Level.NOTE, text=text, mend=f"set {' + '.join(needs.any_of[0])}")


def _credentials(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    found = {provider.prefix for provider in providers_at_hand(environ)}
    if found:
        yield Finding(level=Level.GOOD, text=f"credentials in the environment: {', '.join(sorted(found))}")
    elif settings.models_file is None:
        wanted = ", ".join(" + ".join(provider.any_of[0]) for provider in PROVIDERS)
        yield Finding(level=Level.NOTE, text="no provider credentials: only demo/echo answers", mend=f"set {wanted}")
    for provider in PROVIDERS:
        for names in provider.any_of:
            missing = [name for name in names if not environ.get(name)]
            if provider.prefix not in found and 0 < len(missing) < len(names):
                text = f"{provider.prefix}: {', '.join(missing)} is missing beside the others"
                yield Finding(level=Level.NOTE, text=text, mend=f"set {', '.join(missing)}")


def _keys(settings: Settings) -> Finding:
    if settings.cognito_user_pool_id is None:
        return _data_folder(data_folder(settings))
    return _pool(settings.cognito_user_pool_id, settings.pool_region, settings.cognito_endpoint_url)


def _data_folder(folder: Path) -> Finding:
    text = f"keys: a local Cognito, records in {folder}"
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        nearest.joinpath(".zerogate-write-test").touch()
        nearest.joinpath(".zerogate-write-test").unlink()
    except OSError:
        return Finding(level=Level.BAD, text=f"{folder} cannot be written", mend="set ZEROGATE_DATA_DIR")
    return Finding(level=Level.GOOD, text=text)


def _pool(pool: str, region: str, endpoint_url: str | None) -> Finding:
    try:
        read_once(build_client(region=region, endpoint_url=endpoint_url), pool_id=pool, username="k_000000000000")
    except StoreMisconfiguredError as error:
        mend = "check ZEROGATE_COGNITO_USER_POOL_ID and that these credentials may call cognito-idp:AdminGetUser"
        return Finding(level=Level.BAD, text=f"keys: the pool {pool} refuses to be read ({error})", mend=mend)
    except StoreUnavailableError as error:
        mend = "check the network, the Region and that there are AWS credentials"
        return Finding(level=Level.BAD, text=f"keys: the pool {pool} does not answer ({error})", mend=mend)
    return Finding(level=Level.GOOD, text=f"keys: the user pool {pool} answers")
