"""The models that a key may use, with what is known about each: behind GET /v1/models and the tool list_models."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from gateway.catalog import Catalog, Deployment, ModelFacts
from gateway.errors import ModelNotFound

if TYPE_CHECKING:
    from gateway.identity import Principal
    from gateway.ports import PriceList

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """A model as callers see it. `id` is what they send; `provider` is who serves it."""

    id: str
    provider: str
    facts: ModelFacts


class ModelDirectory:
    """Lists the catalog. Asks no provider and loads no model library."""

    def __init__(self, catalog: Catalog, price_list: "PriceList") -> None:
        self._catalog = catalog
        self._price_list = price_list

    def allowed(self, principal: "Principal") -> list[ModelInfo]:
        """Every model that the principal may name: entries in their order, wildcards by the models known, aliases."""
        names = dict.fromkeys(self._names())
        return [self._info(name, deployment) for name, deployment in self._allowed(names, principal)]

    def get(self, name: str, principal: "Principal") -> ModelInfo:
        """One model.

        Raises:
            ModelNotFound: unknown or not allowed; the text is the same.
        """
        for found, deployment in self._allowed([name], principal):
            return self._info(found, deployment)
        raise ModelNotFound(param="model")

    def _allowed(self, names: Iterable[str], principal: "Principal") -> Iterator[tuple[str, Deployment]]:
        for name in names:
            target = self._catalog.follow(name)
            if principal.allows_model(name) or principal.allows_model(target):
                deployment = self._catalog.deployment_for(name)
                if deployment is not None:
                    yield name, deployment

    def _names(self) -> Iterator[str]:
        for entry in self._catalog.entries:
            if not entry.is_wildcard:
                yield entry.name
                continue
            prefix, _, suffix = entry.deployments[0].model.partition("*")
            head, _, tail = entry.name.partition("*")
            for known in self._price_list.chat_models(prefix):
                if known.endswith(suffix):
                    yield head + known[len(prefix) : len(known) - len(suffix)] + tail
        yield from self._catalog.aliases

    def _info(self, name: str, deployment: Deployment) -> ModelInfo:
        known = self._price_list.facts(deployment.priced_as) or ModelFacts()
        return ModelInfo(id=name, provider=deployment.provider, facts=_over(deployment.facts, known))


def _over(own: ModelFacts, known: ModelFacts) -> ModelFacts:
    """The operator's facts where there are any, the public ones elsewhere."""

    def first(mine: T | None, theirs: T | None) -> T | None:
        return mine if mine is not None else theirs

    return ModelFacts(
        max_input_tokens=first(own.max_input_tokens, known.max_input_tokens),
        max_output_tokens=first(own.max_output_tokens, known.max_output_tokens),
        input_cost_per_token=first(own.input_cost_per_token, known.input_cost_per_token),
        output_cost_per_token=first(own.output_cost_per_token, known.output_cost_per_token),
        mode=first(own.mode, known.mode),
        provider=first(own.provider, known.provider),
        capabilities=own.capabilities | known.capabilities,
    )
