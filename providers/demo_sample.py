"""Small JSON values that fit a JSON schema, for the demo model's structured answers and tool arguments."""

from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 12


def sample(schema: Any, text: str) -> Any:
    """A value for the schema: its first enum value, default or branch, required properties, the text for strings.

    Covers what pydantic and the SDKs write: `$ref`, `anyOf`, bounds, arrays. Anything stranger gives some value, and
    never an error.
    """
    root = schema if isinstance(schema, Mapping) else {}
    return _sample(root, root, text, 0)


def _sample(schema: Any, root: Mapping[str, Any], text: str, depth: int) -> Any:
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    for combiner in ("anyOf", "oneOf", "allOf"):
        branches = schema.get(combiner)
        if isinstance(branches, list) and branches:
            return _sample(_branch(branches, root, depth), root, text, depth + 1)
    return _by_type(_type(schema), schema, root, text, depth)


def _by_type(kind: str, schema: Mapping[str, Any], root: Mapping[str, Any], text: str, depth: int) -> Any:
    value: Any = None
    match kind:
        case "object":
            value = _object(schema, root, text, depth)
        case "array":
            value = _array(schema, root, text, depth)
        case "integer":
            value = int(_number(schema))
        case "number":
            value = _number(schema)
        case "boolean":
            value = True
        case "string":
            value = _string(schema, text)
    return value


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], text: str, depth: int) -> list[Any]:
    least = schema.get("minItems")
    count = max(least if isinstance(least, int) else 0, 0 if depth > MAX_DEPTH // 2 else 1)
    return [_sample(schema.get("items"), root, text, depth + 1)] * min(count, 100) if depth < MAX_DEPTH else []


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], text: str, depth: int) -> dict[str, Any]:
    properties = schema.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    required = schema.get("required")
    names = required if isinstance(required, list) else list(properties)
    if depth >= MAX_DEPTH:
        return {}
    return {str(name): _sample(properties.get(name), root, text, depth + 1) for name in names}


def _resolved(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    for _ in range(MAX_DEPTH):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return schema
        found: Any = root
        for step in reference[2:].split("/"):
            found = found.get(step) if isinstance(found, Mapping) else None
        schema = found
    return {}


def _branch(branches: list[Any], root: Mapping[str, Any], depth: int) -> Any:
    """`null` where it is offered and the value nests deep (a recursive schema), else the first that is something."""
    nulls = [branch for branch in branches if _type(_resolved(branch, root)) == "null"]
    others = [branch for branch in branches if branch not in nulls]
    return nulls[0] if nulls and (depth > MAX_DEPTH // 3 or not others) else others[0]


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    return kind if kind in {"object", "array", "integer", "number", "boolean", "null"} else "string"


def _number(schema: Mapping[str, Any]) -> float:
    low, high = schema.get("minimum"), schema.get("maximum")
    if isinstance(above := schema.get("exclusiveMinimum"), int | float) and not isinstance(above, bool):
        low = above + 1
    if isinstance(below := schema.get("exclusiveMaximum"), int | float) and not isinstance(below, bool):
        high = below - 1
    value = max(1.0, float(low)) if isinstance(low, int | float) else 1.0
    return min(value, float(high)) if isinstance(high, int | float) else value


def _string(schema: Mapping[str, Any], text: str) -> str:
    value = {
        "date": "2026-01-01",
        "date-time": "2026-01-01T00:00:00Z",
        "time": "00:00:00Z",
        "email": "demo@example.com",
        "uri": "https://example.com",
        "uuid": "00000000-0000-4000-8000-000000000000",
    }.get(str(schema.get("format")), text or "demo")
    shortest, longest = schema.get("minLength"), schema.get("maxLength")
    if isinstance(shortest, int) and len(value) < shortest:
        value = value.ljust(min(shortest, 10_000), ".")
    return value[:longest] if isinstance(longest, int) and longest >= 0 else value
