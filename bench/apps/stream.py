"""Streams as many chunks as `?count=` says, back to back: for uvicorn and for lambda_runtime alike."""

from typing import Any

CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":" word"}}]}\n\n'


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer."""
    if scope["type"] != "http":
        message = "no lifespan"
        raise ValueError(message)
    await receive()
    count = int(scope["query_string"].decode().partition("=")[2] or 1)
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(count):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
