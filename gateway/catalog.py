"""The models that callers may name, and the deployments behind each name."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

from gateway.errors import ModelNotFound

if TYPE_CHECKING:
    from gateway.identity import Principal

MAX_ALIAS_HOPS = 4
# Segments between slashes, none of them empty, `.` or `..`.
_PLAIN_NAME = re.compile(r"(?:(?!\.{1,2}(?:/|$))[A-Za-z0-9._:@+-]+(?:/|$))+(?<!/)")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known about a model; None where it is not."""

    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    input_cost_per_token: float | None = None
    output_cost_per_token: float | None = None
    mode: str | None = None
    provider: str | None = None
    capabilities: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One place that serves a model.

    Attributes:
        model: what the provider is asked for, with LiteLLM's prefix: `openai/gpt-4o`.
        params: further LiteLLM parameters of the operator's (credentials, addresses). Never logged: see `repr`.
        weight: the share of the calls relative to the other deployments of the same name.
        base_model: the name whose price and windows count, where `model` is an ARN or a deployment name.
        facts: the operator's own word about prices and windows; it wins over the price list.
        plain_upstream: ask without streaming.
    """

    model: str
    params: Mapping[str, object] = field(default_factory=dict, repr=False)
    weight: float = 1.0
    base_model: str | None = None
    facts: ModelFacts = ModelFacts()
    plain_upstream: bool = False

    @property
    def provider(self) -> str:
        """The part before the first slash."""
        return self.model.split("/", 1)[0]

    @property
    def priced_as(self) -> str:
        """The name to look up in the price list."""
        return self.base_model or self.model

    def for_model(self, rest: str) -> "Deployment":
        """This wildcard deployment with the caller's part in the place of its `*`."""
        return Deployment(
            model=self.model.replace("*", rest, 1),
            params=self.params,
            weight=self.weight,
            base_model=self.base_model,
            facts=self.facts,
            plain_upstream=self.plain_upstream,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """A name in the catalog. A wildcard entry (`bedrock/*`) serves every name that matches."""

    name: str
    deployments: tuple[Deployment, ...]
    fallbacks: tuple[str, ...] = ()

    @property
    def is_wildcard(self) -> bool:
        """Whether the name holds a `*`."""
        return "*" in self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedModel:
    """A model that the caller may use, and the deployments to try, best first."""

    name: str
    entry: str
    deployments: tuple[Deployment, ...]
    fallbacks: tuple[Deployment, ...] = ()

    def attempts(self, most: int) -> tuple[Deployment, ...]:
        """At most that many; the last is kept for a fallback where there is one."""
        own = self.deployments[: most - 1] if self.fallbacks else self.deployments[:most]
        return (own + self.fallbacks)[:most]


class Catalog:
    """Finds the deployments behind a name. Immutable.

    Args:
        entries: exact names first win over wildcards; of two matching wildcards the longer one wins.
        aliases: other names for entries or for names that a wildcard serves.
        random: how calls are spread over deployments of equal standing.
    """

    def __init__(
        self,
        entries: Iterable[ModelEntry],
        *,
        aliases: Mapping[str, str] | None = None,
        random: Random | None = None,
    ) -> None:
        self._entries = {entry.name: entry for entry in entries}
        self._wildcards = sorted(
            (entry for entry in self._entries.values() if entry.is_wildcard), key=lambda e: len(e.name), reverse=True
        )
        self.aliases = dict(aliases or {})
        # Spreading load needs no secrecy.
        self._random = random or Random()  # noqa: S311

    @property
    def entries(self) -> Sequence[ModelEntry]:
        """In the order of the file."""
        return tuple(self._entries.values())

    def resolve(self, name: str, principal: "Principal") -> ResolvedModel:
        """The deployments for a name, spread by weight, with those of its fallbacks behind.

        Raises:
            ModelNotFound: unknown, or not allowed for this principal; the text is the same.
        """
        target = self.follow(name)
        if not (principal.allows_model(name) or principal.allows_model(target)):
            raise ModelNotFound(param="model")
        entry = self._find(target)
        if entry is None:
            raise ModelNotFound(param="model")
        fallbacks: list[Deployment] = []
        for fallback in entry.fallbacks:
            if principal.allows_model(fallback) and (other := self._find(self.follow(fallback))):
                fallbacks += self._spread(other, self.follow(fallback))
        own = tuple(self._spread(entry, target))
        return ResolvedModel(name=name, entry=entry.name, deployments=own, fallbacks=tuple(fallbacks))

    def knows(self, name: str) -> bool:
        """Whether some entry serves the name."""
        return self._find(self.follow(name)) is not None

    def deployment_for(self, name: str) -> Deployment | None:
        """One deployment of the name, for its facts; not spread."""
        target = self.follow(name)
        entry = self._find(target)
        return _concrete(entry, entry.deployments[0], target) if entry else None

    def follow(self, name: str) -> str:
        """The name that an alias stands for; the name itself where it is none."""
        for _ in range(MAX_ALIAS_HOPS):
            if name in self._entries or name not in self.aliases:
                return name
            name = self.aliases[name]
        return name

    def _find(self, name: str) -> ModelEntry | None:
        exact = self._entries.get(name)
        if exact is not None and not exact.is_wildcard:
            return exact
        # What goes on to a provider is a name, and nothing that could lead an address elsewhere.
        if not _PLAIN_NAME.fullmatch(name):
            return None
        return next((entry for entry in self._wildcards if _serves(entry, name)), None)

    def _spread(self, entry: ModelEntry, name: str) -> list[Deployment]:
        """Each deployment once, in a random order in which the heavier tend to come first."""
        keyed = [(self._random.random() ** (1 / max(d.weight, 1e-9)), i) for i, d in enumerate(entry.deployments)]
        return [_concrete(entry, entry.deployments[i], name) for _, i in sorted(keyed, reverse=True)]


def _serves(entry: ModelEntry, name: str) -> bool:
    prefix, _, suffix = entry.name.partition("*")
    # Something has to stand in for the `*`.
    return len(name) > len(prefix) + len(suffix) and name.startswith(prefix) and name.endswith(suffix)


def _concrete(entry: ModelEntry, deployment: Deployment, name: str) -> Deployment:
    if not entry.is_wildcard or "*" not in deployment.model:
        return deployment
    prefix, _, suffix = entry.name.partition("*")
    return deployment.for_model(name[len(prefix) : len(name) - len(suffix)])
