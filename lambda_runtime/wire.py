"""HTTP/1.1 as the Runtime API speaks it: one TCP connection per exchange, so that none goes stale over a freeze."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

# Small: a reader who is slow slows the app down, instead of filling memory.
WRITE_BUFFER = 64 * 1024
CONNECT_SECONDS = 5.0


class RuntimeApiError(OSError):
    """The Runtime API refused, broke off, or said something that is not HTTP."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer of the Runtime API; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """One exchange."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, address: str) -> "Connection":
        """To host:port.

        Raises:
            RuntimeApiError
        """
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, ValueError) as error:
            raise RuntimeApiError(f"no connection to the Runtime API at {address}: {error}") from error
        writer.transport.set_write_buffer_limits(high=WRITE_BUFFER)
        return cls(reader, writer)

    async def send(self, *parts: bytes) -> None:
        """Write, and wait while the other side is slow to read.

        Raises:
            RuntimeApiError: the connection is closed.
        """
        if self._writer.is_closing():
            raise RuntimeApiError("the Runtime API closed the connection")
        try:
            # Joined: in Python 3.13.0 `writelines` knows no back pressure, and never ends where a part is empty.
            self._writer.write(b"".join(parts))
            await self._writer.drain()
        except OSError as error:
            raise RuntimeApiError(f"the Runtime API broke off: {error}") from error

    async def response(self) -> Response:
        """The whole answer.

        Raises:
            RuntimeApiError: broken off, or no HTTP.
        """
        try:
            status_line = await self._reader.readline()
            status = int(status_line.split(b" ", 2)[1])
            headers = await self._headers()
            return Response(status, headers, await self._body(headers))
        except (OSError, asyncio.IncompleteReadError, IndexError, ValueError) as error:
            raise RuntimeApiError(f"no answer from the Runtime API: {type(error).__name__}: {error}") from error

    async def _headers(self) -> dict[str, str]:
        headers = {}
        while (line := await self._reader.readline()).strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if not line:
            raise RuntimeApiError("broken off among the headers")
        return headers

    async def _body(self, headers: Mapping[str, str]) -> bytes:
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body = bytearray()
            while size := int((await self._reader.readline()).split(b";")[0], 16):
                body += await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            await self._headers()
            return bytes(body)
        if "content-length" in headers:
            return await self._reader.readexactly(int(headers["content-length"]))
        return await self._reader.read()

    def abort(self) -> None:
        """Close at once; what was not sent is dropped, and whoever waits to send is told so."""
        self._writer.transport.abort()
