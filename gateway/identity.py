"""Who is calling, and what they may do."""

from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final

# Where the guard leaves the principal in an ASGI scope, for the surfaces to find.
PRINCIPAL: Final = "zerogate.principal"


class Scope(StrEnum):
    """What a key is for."""

    INFERENCE = "inference"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a key, a person or a team may do.

    Attributes:
        models: shell-style patterns over model names; None allows every model of the deployment.
        scopes: None where the record does not narrow them (people and teams).
    """

    models: tuple[str, ...] | None = None
    scopes: frozenset[Scope] | None = None

    def allows_model(self, name: str) -> bool:
        """Whether a pattern of this policy matches the name, case and all."""
        return self.models is None or any(fnmatchcase(name, pattern) for pattern in self.models)


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who a verified key stands for. A request has to fit every policy: the key's, the person's and the team's."""

    key_id: str
    owner: str
    team: str | None = None
    policies: tuple[Policy, ...] = field(default=())
    expires_at: int | None = None
    label: str | None = None

    def allows_model(self, name: str) -> bool:
        """Whether all policies allow the model."""
        return all(policy.allows_model(name) for policy in self.policies)

    @property
    def scopes(self) -> frozenset[Scope]:
        """The scopes that every policy which names any grants; none where no policy names any."""
        named = [policy.scopes for policy in self.policies if policy.scopes is not None]
        return frozenset.intersection(*named) if named else frozenset()
