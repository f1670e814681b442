"""Images and files that a message names by URL, fetched by us and passed on as data.

No provider, and no library, is ever handed a URL from a request: LiteLLM would fetch some of them from inside our
network, and a self-hosted model server would fetch them from inside its own (docs/adr/0004).
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin, urlsplit

import anyio
import httpcore

from gateway.chat_types import JsonObject
from gateway.errors import InvalidRequest, UnsafeUrl
from providers.public_network import PublicNetwork

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_REDIRECTS = 3
MAX_ATTACHMENTS = 20


class Attachments:
    """Fetches what messages point to.

    Args:
        max_bytes: the most that one attachment may have, and that all attachments of a request may have together.
        timeout: seconds for one attachment, redirects included.
        also_allowed: networks (CIDR) that may be fetched from although they are not public.
    """

    def __init__(self, *, max_bytes: int, timeout: float, also_allowed: Iterable[str] = ()) -> None:
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._network = PublicNetwork(also_allowed)

    async def inlined(self, messages: Sequence[JsonObject]) -> Sequence[JsonObject]:
        """The messages with every URL replaced by its content; the same list when there is none.

        Raises:
            UnsafeUrl: a URL leads to an address that is not public, or is not an http or https URL.
            InvalidRequest: it cannot be fetched, is too large, or is of the wrong kind.
        """
        places = [
            (m, p) for m, message in enumerate(messages) for p, part in enumerate(_parts(message)) if _remote(part)
        ]
        if not places:
            return messages
        if len(places) > MAX_ATTACHMENTS:
            message = f"At most {MAX_ATTACHMENTS} attachments may be given by URL."
            raise InvalidRequest(message, param="messages")
        copies: list[dict[str, Any]] = [dict(message) for message in messages]
        left = self._max_bytes
        for m, p in places:
            content = list(copies[m]["content"])
            content[p], size = await self._inlined_part(content[p], left, f"messages[{m}].content[{p}]")
            left -= size
            copies[m]["content"] = content
        return copies

    async def _inlined_part(self, part: Mapping[str, Any], limit: int, param: str) -> tuple[dict[str, Any], int]:
        kind = "image_url" if part["type"] == "image_url" else "file"
        field = "url" if kind == "image_url" else "file_data"
        try:
            with anyio.fail_after(self._timeout):
                media_type, body = await self._fetch(part[kind][field], limit)
        except UnsafeUrl as error:
            raise UnsafeUrl(param=param) from error
        except (TimeoutError, OSError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as e:
            message = "The URL could not be fetched."
            raise InvalidRequest(message, param=param) from e
        except _NotUsableError as error:
            raise InvalidRequest(str(error), param=param) from error
        if kind == "image_url" and not media_type.startswith("image/"):
            message = "The URL does not lead to an image."
            raise InvalidRequest(message, param=param)
        data = f"data:{media_type};base64,{base64.b64encode(body).decode()}"
        return {**part, kind: {**part[kind], field: data}}, len(body)

    async def _fetch(self, url: str, limit: int) -> tuple[str, bytes]:
        async with httpcore.AsyncConnectionPool(network_backend=self._network) as pool:
            for _ in range(MAX_REDIRECTS + 1):
                target = _parse(url)
                headers = [("host", target.host), ("accept", "*/*"), ("user-agent", "zerogate")]
                async with pool.stream("GET", target.url, headers=headers) as response:
                    names = {name.lower(): value.decode("latin-1") for name, value in response.headers}
                    if response.status in REDIRECTS and b"location" in names:
                        url = _joined(url, names[b"location"])
                        continue
                    if response.status != 200:  # noqa: PLR2004  HTTP's OK
                        message = f"The URL answered with status {response.status}."
                        raise _NotUsableError(message)
                    body = await _read(response, limit)
                    return names.get(b"content-type", "").partition(";")[0].strip() or "application/octet-stream", body
        message = "The URL redirects too often."
        raise _NotUsableError(message)


class _NotUsableError(Exception):
    """Fetched, but of no use; the text is public."""


class _Target:
    """A URL taken apart once, by one parser: what is checked is what is connected to."""

    def __init__(self, scheme: str, host: str, port: int | None, target: str) -> None:
        self.url = httpcore.URL(scheme=scheme, host=host, port=port, target=target)
        bracketed = f"[{host}]" if ":" in host else host
        self.host = bracketed if port is None else f"{bracketed}:{port}"


def _parse(url: str) -> _Target:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        (host or "").encode("ascii"), target.encode("ascii")
    except ValueError as error:
        raise UnsafeUrl from error
    if parts.scheme not in {"http", "https"} or not host or "@" in parts.netloc:
        raise UnsafeUrl
    return _Target(parts.scheme, host, port, target)


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise UnsafeUrl from error


async def _read(response: httpcore.Response, limit: int) -> bytes:
    body = bytearray()
    async for piece in response.aiter_stream():
        body += piece
        if len(body) > limit:
            message = f"The URL leads to more than the {limit:,} bytes that attachments may have."
            raise _NotUsableError(message)
    return bytes(body)


def _parts(message: JsonObject) -> Sequence[Mapping[str, Any]]:
    content = message.get("content")
    return content if isinstance(content, list) else ()


def _remote(part: Mapping[str, Any]) -> bool:
    """Whether the part names something by URL. `data:` is the one scheme that needs no fetching."""
    if part.get("type") == "image_url":
        return not part["image_url"]["url"].startswith("data:")
    if part.get("type") == "file":
        data = part["file"].get("file_data")
        # Bare base64 has no colon; anything with one and no `data:` names a place.
        return isinstance(data, str) and ":" in data[:64] and not data.startswith("data:")
    return False
