"""Key administration over REST: who may, and the creation of a key."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from auth.cognito import CognitoWriter, KeyConflictError, StoreMisconfiguredError, StoreUnavailableError
from auth.guard import Verify, presented_key
from auth.key_format import ApiKey
from auth.records import MAX_LABEL, MAX_OWNER, PolicyDocument, TeamSlug, key_username, normalised_owner
from gateway.call import REQUEST_ID
from gateway.errors import InsufficientScope, KeyConflict, StoreUnavailable
from gateway.identity import Scope
from gateway.json_body import parse_body, read_json_body

logger = logging.getLogger("zerogate.audit")

ACTOR: Final = "zerogate.actor"
LONGEST_SECONDS = 10 * 366 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who administers: an AWS identity, or a key with the scope `admin`."""

    name: str
    is_iam: bool


def iam_identity(scope: Mapping[str, Any]) -> str | None:
    """The ARN that API Gateway has verified, from the event alone: what a client sends never gets there."""
    event: Mapping[str, Any] = scope.get("aws.event") or {}
    identity = event.get("requestContext", {}).get("identity") or {}
    arn = identity.get("userArn")
    return arn if isinstance(arn, str) and arn else None


class AdminGuard:
    """Runs the app with the actor in the scope, or raises the refusal.

    Args:
        identity: the verified AWS identity of a request, where the route is behind API Gateway's IAM authorisation.
    """

    def __init__(
        self, app: ASGIApp, *, verify: Verify, identity: Callable[[Mapping[str, Any]], str | None] | None = None
    ) -> None:
        self._app = app
        self._verify = verify
        self._identity = identity

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Raises: InvalidApiKey and its kin, InsufficientScope."""
        scope[ACTOR] = await self._actor(scope)
        await self._app(scope, receive, send)

    async def _actor(self, scope: AsgiScope) -> Actor:
        if self._identity is not None and (arn := self._identity(scope)) is not None:
            return Actor(name=arn, is_iam=True)
        principal = await self._verify(presented_key(Headers(scope=scope)))
        if Scope.ADMIN not in principal.scopes:
            raise InsufficientScope
        return Actor(name=principal.key_id, is_iam=False)


class CreateKeyBody(BaseModel):
    """POST …/keys."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_LABEL)]
    owner: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_OWNER)]
    team: TeamSlug | None = None
    expires_in_seconds: Annotated[int, Field(ge=1, le=LONGEST_SECONDS)] | None = None
    policy: PolicyDocument = PolicyDocument(scopes=frozenset({Scope.INFERENCE}))

    @field_validator("policy")
    @classmethod
    def _with_scopes(cls, policy: PolicyDocument) -> PolicyDocument:
        """A policy without scopes would allow all of them."""
        if policy.scopes is not None:
            return policy
        return policy.model_copy(update={"scopes": frozenset({Scope.INFERENCE})})


class CreateKey:
    """The one answer that holds a key's value."""

    def __init__(self, make_writer: Callable[[], CognitoWriter]) -> None:
        self._make_writer = make_writer

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Raises: GatewayError."""
        actor: Actor = scope[ACTOR]
        body = parse_body(CreateKeyBody, await read_json_body(scope, receive))
        if Scope.ADMIN in (body.policy.scopes or ()) and not actor.is_iam:
            raise InsufficientScope("Only an AWS identity can make a key with the scope 'admin'.")
        now = int(time.time())
        expires_at = now + body.expires_in_seconds if body.expires_in_seconds else 0
        try:
            key = await anyio.to_thread.run_sync(self._create, body, expires_at, actor.name)
        except KeyConflictError:
            raise KeyConflict from None
        except (StoreUnavailableError, StoreMisconfiguredError) as error:
            raise StoreUnavailable from error
        logger.info(
            "key created",
            extra={
                "event": "key.created",
                "actor": actor.name,
                "key_id": key_username(key.kid),
                "owner": normalised_owner(body.owner),
                "team": body.team,
                "policy": body.policy.model_dump(mode="json", exclude_none=True),
                "request": scope[REQUEST_ID],
            },
        )
        answer = JSONResponse(_shown(body, key, now, expires_at), 201, headers={"cache-control": "no-store"})
        await answer(scope, receive, send)

    def _create(self, body: CreateKeyBody, expires_at: int, actor: str) -> ApiKey:
        return self._make_writer().create_key(
            owner=body.owner,
            team=body.team,
            label=body.name,
            policy=body.policy,
            expires_at=expires_at,
            created_by=actor,
        )


def _shown(body: CreateKeyBody, key: ApiKey, now: int, expires_at: int) -> dict[str, Any]:
    """OpenAI's shape of an admin key, with the value."""
    owner = normalised_owner(body.owner)
    return {
        "object": "organization.admin_api_key",
        "id": key_username(key.kid),
        "name": body.name,
        "value": key.reveal(),
        "redacted_value": str(key),
        "created_at": now,
        "expires_at": expires_at or None,
        "last_used_at": None,
        "status": "active",
        "owner": {"type": "user", "object": "organization.user", "id": owner, "name": owner},
        "team": body.team,
        "policy": body.policy.model_dump(mode="json", exclude_none=True),
    }
