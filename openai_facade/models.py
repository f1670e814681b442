"""GET /v1/models and GET /v1/models/{id}: the models that the caller's key may use."""

from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from gateway.identity import PRINCIPAL
from gateway.models import ModelDirectory, ModelInfo


class Models:
    """Both endpoints, as ASGI apps behind the guard.

    Args:
        created: unix seconds; OpenAI's schema wants one per model, and the catalog has none of its own.
    """

    def __init__(self, directory: ModelDirectory, *, created: int) -> None:
        self._directory = directory
        self._created = created

    async def list(self, scope: Scope, receive: Receive, send: Send) -> None:
        """All of them."""
        found = self._directory.allowed(scope[PRINCIPAL])
        body = {"object": "list", "data": [self._json(model) for model in found]}
        await JSONResponse(body)(scope, receive, send)

    async def get(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One of them. Raises: ModelNotFound."""
        model = self._directory.get(scope["path_params"]["model_id"], scope[PRINCIPAL])
        await JSONResponse(self._json(model))(scope, receive, send)

    def _json(self, model: ModelInfo) -> dict[str, Any]:
        facts = model.facts
        more = {
            "context_window": facts.max_input_tokens,
            "max_output_tokens": facts.max_output_tokens,
            "capabilities": sorted(facts.capabilities) or None,
        }
        return {
            "id": model.id,
            "object": "model",
            "created": self._created,
            "owned_by": model.provider,
            **{name: value for name, value in more.items() if value is not None},
        }
