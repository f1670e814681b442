"""Reads and checks a request body. What is wrong is named; what was sent is never echoed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.connection import Receive, read_body
from gateway.errors import (
    GatewayError,
    InvalidJson,
    InvalidRequest,
    MissingParameter,
    UnsupportedMediaType,
)

Body = TypeVar("Body", bound=BaseModel)
FORM_TYPES = (b"application/x-www-form-urlencoded", b"multipart/form-data")


async def read_json_body(scope: Mapping[str, Any], receive: Receive) -> bytes:
    """The whole body, which may not say that it is something other than JSON.

    Raises:
        UnsupportedMediaType: it says that it is a form.
        GatewayError, OSError: as `gateway.connection.read_body`.
    """
    for name, value in scope["headers"]:
        if name == b"content-type" and value.lower().startswith(FORM_TYPES):
            raise UnsupportedMediaType
    return await read_body(receive)


def parse_body(model: type[Body], body: bytes) -> Body:
    """The body as its model.

    Raises:
        InvalidJson, MissingParameter, InvalidRequest: with `param` naming the first field at fault.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        # From None: the original holds the caller's input.
        raise _named(error, body) from None


def _named(error: ValidationError, body: bytes) -> GatewayError:
    found = error.errors(include_url=False, include_input=False)
    if found[0]["type"] == "json_invalid" or not found[0]["loc"]:
        return InvalidJson()
    sent = json.loads(body)
    paths = [_path(problem["loc"], sent) for problem in found]
    # Where a value may be one of several kinds, pydantic complains once for each: what got furthest was meant.
    place = max((i for i in range(len(found)) if paths[i].startswith(paths[0])), key=lambda i: len(paths[i]))
    problem, param = found[place], paths[place]
    if problem["type"] == "missing":
        return MissingParameter(f"Missing required parameter: '{param}'.", param=param)
    return InvalidRequest(f"Invalid value for '{param}': {_complaint(problem)}.", param=param)


def _complaint(problem: ErrorDetails) -> str:
    """Pydantic's sentence; where that would quote the input, one of our own."""
    context = problem.get("ctx", {})
    if problem["type"] == "union_tag_invalid":
        return f"its {context['discriminator']} must be one of {context['expected_tags']}"
    if problem["type"] == "union_tag_not_found":
        return f"its {context['discriminator']} is missing"
    return problem["msg"][0].lower() + problem["msg"][1:]


def _path(loc: Sequence[int | str], body: Any) -> str:
    """`messages[0].content` for pydantic's location, which also names the branches of unions that it tried."""
    path = ""
    here = body
    for place, step in enumerate(loc):
        if isinstance(step, int):
            path += f"[{step}]"
            here = here[step] if isinstance(here, list) and step < len(here) else None
        elif isinstance(here, dict) and (step in here or (place == len(loc) - 1 and step.isidentifier())):
            path += f".{step}" if path else step
            here = here.get(step)
    return path
