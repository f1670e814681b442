"""Where in a document a problem is, as people write it."""

from collections.abc import Iterable


def place_of(steps: Iterable[int | str]) -> str:
    """`messages[0].content` for pydantic's `("messages", 0, "content")`; empty for the document itself."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
