"""OpenAI's published component schemas (openai/openai-openapi, MIT licence, August 2026; descriptions removed)."""

import json
from pathlib import Path

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_DOCUMENT = json.loads((Path(__file__).parent / "openai-schemas.json").read_text())
_REGISTRY: Registry[object] = Registry().with_resource(
    "urn:openai", Resource.from_contents(_DOCUMENT, default_specification=DRAFT202012)
)


def violations(schema: str, body: object) -> list[str]:
    """Every violation of the named component schema, as `path: message`."""
    validator = jsonschema.Draft202012Validator(
        {"$ref": f"urn:openai#/components/schemas/{schema}"}, registry=_REGISTRY
    )
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in validator.iter_errors(body)]
