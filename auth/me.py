"""GET /v1/me: what a key may know about itself."""

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from gateway.identity import PRINCIPAL, Principal


async def me(scope: Scope, receive: Receive, send: Send) -> None:
    """The caller's own key: id, owner, team, label, scopes, allowed models, expiry."""
    principal: Principal = scope[PRINCIPAL]
    body = {
        "object": "zerogate.key",
        "id": principal.key_id,
        "owner": principal.owner,
        "team": principal.team,
        "label": principal.label,
        "scopes": sorted(principal.scopes),
        "models": [list(policy.models) for policy in principal.policies if policy.models is not None] or None,
        "expires_at": principal.expires_at,
    }
    await JSONResponse(body, headers={"cache-control": "no-store"})(scope, receive, send)
