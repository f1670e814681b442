"""`demo/echo`: a model that needs no network and no key. It says the last user message back, word by word.

With tools on offer it answers with a call when `tool_choice` demands one, or when the user's text names a tool.
A deployment may slow it down: `litellm_params: {model: demo/echo, delay: 0.05}` (seconds before each word).
"""

import json
import re
from collections.abc import AsyncGenerator, Iterator
from decimal import Decimal

import anyio
import anyio.lowlevel

from gateway import estimate
from gateway.catalog import Deployment
from gateway.chat_types import ChatRequest, ChoiceDelta, Chunk, JsonObject, ToolCallDelta, Usage
from providers.demo_sample import sample

PIECES = re.compile(r"\s*\S+\s*?(?=\s|$)")


class DemoModel:
    """An engine that answers from the request alone."""

    async def stream(self, deployment: Deployment, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        """One chunk per word, then the finish, then the usage."""
        delay = deployment.params.get("delay", 0)
        delay = float(delay) if isinstance(delay, int | float | str) else 0.0
        tool = _tool_to_call(request)
        budget = _token_limit(request)
        pieces = list(_call_pieces(tool, _last_text(request)) if tool else _text_pieces(_reply(request)))
        choices = request.params.get("n")
        indexes = range(choices if isinstance(choices, int) and choices > 0 else 1)
        for piece in pieces[:budget]:
            # Without a delay, too, each word is a turn of the event loop.
            await (anyio.sleep(delay) if delay else anyio.lowlevel.checkpoint())
            yield Chunk(choices=tuple(_at(piece, index) for index in indexes))
        cut = budget is not None and len(pieces) > budget
        finish = "length" if cut else "tool_calls" if tool else "stop"
        yield Chunk(finish_reasons=dict.fromkeys(indexes, finish))
        output = len(pieces[:budget]) * len(indexes)
        yield Chunk(usage=Usage(input_tokens=estimate.input_tokens(request), output_tokens=output))

    def cost(self, deployment: Deployment, usage: Usage) -> Decimal:  # noqa: ARG002  the port's shape
        """Nothing."""
        return Decimal(0)


def _at(delta: ChoiceDelta, index: int) -> ChoiceDelta:
    return ChoiceDelta(index=index, content=delta.content, tool_calls=delta.tool_calls)


def _text_pieces(text: str) -> Iterator[ChoiceDelta]:
    for word in PIECES.findall(text) or [text]:
        yield ChoiceDelta(content=word)


def _call_pieces(tool: JsonObject, text: str) -> Iterator[ChoiceDelta]:
    name = str(tool["name"])
    schema = tool.get("parameters")
    arguments = json.dumps(sample(schema, text))
    yield ChoiceDelta(tool_calls=(ToolCallDelta(index=0, id="call_demo", name=name),))
    middle = len(arguments) // 2
    for part in (arguments[:middle], arguments[middle:]):
        yield ChoiceDelta(tool_calls=(ToolCallDelta(index=0, arguments=part),))


def _reply(request: ChatRequest) -> str:
    """The last user message, or the result of a tool; as JSON where the request wants JSON."""
    text = _last_text(request) or "(nothing to echo)"
    wanted = request.params.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") in {None, "text"}:
        return text
    schema = wanted.get("json_schema", {}).get("schema") if wanted["type"] == "json_schema" else None
    return json.dumps(sample(schema, text) if schema else {"echo": text})


def _last_text(request: ChatRequest) -> str:
    for message in reversed(request.messages):
        if message.get("role") in {"user", "tool"}:
            content = message.get("content")
            if isinstance(content, str):
                return content
            if isinstance(content, list):
                return " ".join(str(part.get("text") or f"[{part.get('type')}]") for part in content)
    return ""


def _tool_to_call(request: ChatRequest) -> JsonObject | None:
    """The function to call, or None for a text answer. After a tool's result there is always text."""
    choice = request.params.get("tool_choice", "auto")
    offered = request.params.get("tools")
    functions = [t["function"] for t in offered if "function" in t] if isinstance(offered, list) else []
    if not functions or choice == "none" or request.messages[-1].get("role") == "tool":
        return None
    if isinstance(choice, dict):
        named = choice.get("function", {}).get("name")
        return next((f for f in functions if f.get("name") == named), None)
    mentioned = next((f for f in functions if str(f.get("name")) in _last_text(request)), None)
    return mentioned or (functions[0] if choice == "required" else None)


def _token_limit(request: ChatRequest) -> int | None:
    limits = (request.params.get("max_completion_tokens"), request.params.get("max_tokens"))
    return next((limit for limit in limits if isinstance(limit, int)), None)
