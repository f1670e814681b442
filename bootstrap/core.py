"""Wires the core to its adapters, for every transport alike."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from bootstrap.default_catalog import credentials_in, default_catalog
from bootstrap.settings import Settings, environment
from gateway.catalog import Catalog
from gateway.catalog_file import read_catalog
from gateway.chat import Gateway
from gateway.models import ModelDirectory
from limits.time_budget import FixedTimeBudget
from providers.attachments import Attachments
from providers.door import Providers
from providers.price_list import LiteLLMPriceList
from providers.secrets import parameter
from usage.log_sink import LogSink


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What the surfaces are built on."""

    gateway: Gateway
    directory: ModelDirectory
    default_model: str


def load_catalog(settings: Settings, environ: Mapping[str, str] | None = None) -> Catalog:
    """From the file that is set, or from the environment's credentials.

    Raises:
        CatalogError: the file cannot be used.
    """
    environ = environment() if environ is None else environ
    if settings.models_file is not None:
        return read_catalog(settings.models_file, environ)
    return default_catalog(environ)


def build_core(settings: Settings, *, catalog: Catalog | None = None, usage_stream: TextIO | None = None) -> Core:
    """Nothing here loads a model library, opens a connection or reads a secret."""
    catalog = catalog or load_catalog(settings)
    price_list = LiteLLMPriceList()
    gateway = Gateway(
        catalog=catalog,
        provider=Providers(
            attachments=Attachments(
                max_bytes=settings.attachment_bytes,
                timeout=settings.attachment_seconds,
                also_allowed=settings.attachment_networks,
            ),
            price_list=price_list,
            resolve_secret=parameter,
            hidden=credentials_in(environment()),
        ),
        sink=LogSink(usage_stream or sys.stdout),
        budget=FixedTimeBudget(
            streamed_seconds=settings.stream_seconds,
            collected_seconds=settings.collected_seconds,
            grace_seconds=settings.grace_seconds,
        ),
        waiting_after=settings.waiting_seconds,
        stalled_reader_after=settings.stalled_reader_seconds,
    )
    return Core(
        gateway=gateway,
        directory=ModelDirectory(catalog, price_list),
        default_model=settings.default_model or _first_model(catalog),
    )


def _first_model(catalog: Catalog) -> str:
    return next((entry.name for entry in catalog.entries if not entry.is_wildcard), catalog.entries[0].name)
