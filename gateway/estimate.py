"""Token counts for calls whose provider never said: one token for every four bytes of UTF-8, rounded up.

Four characters per token is OpenAI's own rule of thumb for English text
(https://help.openai.com/en/articles/4936856-what-are-tokens-and-how-to-count-them). Bytes instead of characters
lean towards counting more for other scripts, which cost more tokens. Images and other attachments count nothing here.
"""

import json
from collections.abc import Iterable

from gateway.chat_types import ChatRequest, JsonObject

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4


def tokens_of_bytes(count: int) -> int:
    """The estimate for that many bytes of text."""
    return -(-count // BYTES_PER_TOKEN)


def input_tokens(request: ChatRequest) -> int:
    """The estimate for what the request sends to the model: texts, tool calls and tool definitions."""
    size = sum(_text_bytes(message) for message in request.messages)
    tools = request.params.get("tools")
    if tools:
        size += len(json.dumps(tools).encode())
    return tokens_of_bytes(size) + TOKENS_PER_MESSAGE * len(request.messages)


def _text_bytes(message: JsonObject) -> int:
    size = sum(len(text.encode(errors="surrogatepass")) for text in _texts(message.get("content")))
    calls = message.get("tool_calls")
    return size + (len(json.dumps(calls).encode()) if calls else 0)


def _texts(content: object) -> Iterable[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in content:
            if isinstance(part, dict) and isinstance(text := part.get("text") or part.get("refusal"), str):
                yield text
