"""What Cognito holds: one user per key (`k_`), per person (`o_`) and per team (`t_`). See docs/adr/0003.

Records that do not parse are refused, never half-read.
"""

import re
from base64 import b32encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, Json, StringConstraints

from gateway.identity import Policy, Scope

# Cognito's own limits (botocore's service model; quotas page of the developer guide), which moto does not enforce.
MAX_VALUE: Final = 2048
MAX_OWNER: Final = 254
MAX_LABEL: Final = 64
CUSTOM_ATTRIBUTES: Final = {"digest": 64, "policy": MAX_VALUE, "exp": 12, "meta": MAX_VALUE, "rev": 512}

TeamSlug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
ModelPattern = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=1)]


class PolicyDocument(BaseModel):
    """`custom:policy`: replaced whole by an update, never merged. Unknown fields are refused: they might narrow it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    v: Literal[1] = 1
    models: tuple[ModelPattern, ...] | None = None
    scopes: frozenset[Scope] | None = None
    rpm: Count | None = None
    tpm: Count | None = None
    max_tokens: Count | None = None

    def to_policy(self) -> Policy:
        """The part that the core decides by."""
        return Policy(models=self.models, scopes=self.scopes)


class Record(BaseModel):
    """What key, person and team have in common. `enabled` is Cognito's own flag."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    enabled: bool
    policy: Annotated[Json[PolicyDocument], Field(alias="custom:policy")]


class KeyRecord(Record):
    """A key. `digest` is the SHA-256 of its secret; `expires_at` is in unix seconds, 0 for never."""

    digest: Annotated[str, Field(alias="custom:digest", pattern=r"^[0-9a-f]{64}$", repr=False)]
    expires_at: Annotated[int, Field(alias="custom:exp", ge=0)]
    email: str | None = None
    name: str | None = None
    label: Annotated[str | None, Field(alias="given_name")] = None
    team: Annotated[TeamSlug | None, Field(alias="family_name")] = None

    @property
    def owner(self) -> str:
        """Who the key belongs to: an e-mail address, or else a name."""
        return self.email or self.name or ""


class PersonRecord(Record):
    """A person. Their policy narrows each of their keys; disabling them stops all of them."""


class TeamRecord(Record):
    """A team, likewise."""


def key_username(kid: str) -> str:
    """The Cognito username, and the id in the API, of a key."""
    return f"k_{kid}"


def person_username(owner: str) -> str:
    """The Cognito username of a person, the same for every spelling of the same address."""
    digest = sha256(normalised_owner(owner).encode()).digest()
    return "o_" + b32encode(digest)[:20].decode().lower()


def team_username(slug: str) -> str:
    """The Cognito username of a team."""
    return f"t_{slug}"


def normalised_owner(owner: str) -> str:
    """Without surrounding space, in lower case."""
    return owner.strip().lower()


def owner_attribute(owner: str) -> dict[str, str]:
    """The Cognito attribute that holds the owner: `email` where it is an address, else `name`.

    Raises:
        ValueError: blank or longer than a record takes.
    """
    owner = normalised_owner(owner)
    if not owner or len(owner) > MAX_OWNER:
        message = f"an owner has 1 to {MAX_OWNER} characters"
        raise ValueError(message)
    return {"email" if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", owner) else "name": owner}


def attributes_of(user: Mapping[str, Any]) -> dict[str, Any]:
    """The flat attributes of an AdminGetUser answer, with `enabled`."""
    return {a["Name"]: a.get("Value", "") for a in user["UserAttributes"]} | {"enabled": user["Enabled"]}
