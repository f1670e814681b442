"""Just enough HTTP/1.1 for both sides of the front, with access to every chunk and to the lack of a last one."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

HEAD_LIMIT = 1024 * 1024
TRAILER_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Head:
    method: str
    target: str
    headers: list[tuple[str, str]]

    def get(self, name: str, default: str = "") -> str:
        return next((value for key, value in self.headers if key.lower() == name), default)


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """None when the other side has closed."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = raw.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines if line)]
    return Head(method, target, headers)


async def read_body(reader: asyncio.StreamReader, head: Head) -> bytes:
    if "chunked" in head.get("transfer-encoding").lower():
        body = Chunked(reader)
        return b"".join([piece async for piece in body])
    return await reader.readexactly(int(head.get("content-length") or 0))


class Chunked:
    """Iterates over the pieces of a chunked body as they arrive; `trailers` are there after the last one.

    Works on whole reads: a piece is what came in one read, whatever the chunks in it.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._buffer = bytearray()
        self.trailers: dict[str, str] = {}
        self.trailer_bytes = 0
        self.complete = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left, in_body = 0, True
        while in_body:
            pieces = []
            while True:
                if left > 2:
                    taken = bytes(self._buffer[: left - 2])
                    del self._buffer[: len(taken)]
                    left -= len(taken)
                    if taken:
                        pieces.append(taken)
                if 0 < left <= 2:
                    if len(self._buffer) < left:
                        break
                    del self._buffer[:left]
                    left = 0
                if left > 2:
                    break
                line_end = self._buffer.find(b"\r\n")
                if line_end < 0:
                    break
                size = int(self._buffer[:line_end], 16)
                del self._buffer[: line_end + 2]
                if size == 0:
                    in_body = False
                    break
                left = size + 2
            if pieces:
                yield b"".join(pieces)
            if in_body:
                data = await self._reader.read(256 * 1024)
                if not data:
                    return
                self._buffer += data
        await self._read_trailers()

    async def _read_trailers(self) -> None:
        while True:
            while (line_end := self._buffer.find(b"\r\n")) < 0:
                data = await self._reader.read(65536)
                if not data:
                    return
                self._buffer += data
            line = bytes(self._buffer[:line_end]).decode("latin-1")
            del self._buffer[: line_end + 2]
            if not line:
                self.complete = True
                return
            name, _, value = line.partition(":")
            self.trailer_bytes += len(line)
            if self.trailer_bytes > TRAILER_LIMIT:
                # As AWS's emulator: it panics, and the environment is lost.
                raise ConnectionResetError
            self.trailers[name.strip().lower()] = value.strip()


def response(status: int, headers: list[tuple[str, str]], body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
