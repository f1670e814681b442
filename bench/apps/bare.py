"""The floor: a bare Starlette application on the same runtime, from the same artifact."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def models(request: Request) -> JSONResponse:
    """A constant answer."""
    return JSONResponse({"object": "list", "data": [{"id": "m", "object": "model"}]})


app = Starlette(routes=[Route("/v1/models", models)])
