"""The Runtime API, call by call."""

import base64
import json
import traceback
from collections.abc import Mapping
from typing import Any, Final

from lambda_runtime.invocation import Invocation
from lambda_runtime.wire import Connection, Response, RuntimeApiError

VERSION: Final = "/2018-06-01/runtime"
STREAM_TYPE: Final = "application/vnd.awslambda.http-integration-response"
ERROR_TYPE: Final = "Lambda-Runtime-Function-Error-Type"
ERROR_BODY: Final = "Lambda-Runtime-Function-Error-Body"
# The Runtime API's server gives up, and ends the environment, on trailers above about 4 KB (seen in AWS's emulator).
# In base64 the document grows by a third.
LONGEST_DOCUMENT: Final = 2000
LONGEST_MESSAGE: Final = 500


def error_document(error: BaseException, message: str, *, kind: str | None = None) -> dict[str, Any]:
    """The JSON object that Lambda expects of a failure. The stack names places in code, never values."""
    return {
        "errorType": kind or type(error).__name__,
        "errorMessage": message,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


class RuntimeApi:
    """A client of one environment's Runtime API.

    Args:
        address: host:port, from AWS_LAMBDA_RUNTIME_API.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    async def next(self) -> Invocation:
        """The next invocation. Blocks, over a freeze as well: there is no time limit.

        Raises:
            RuntimeApiError
        """
        answer = await self._exchange("GET", "/invocation/next")
        try:
            return Invocation.from_response(answer.headers, answer.body)
        except (KeyError, ValueError, OverflowError) as error:
            raise RuntimeApiError(f"/next misses what an invocation has: {error}") from error

    async def respond(self, invocation: Invocation, body: bytes) -> None:
        """Answer in one piece.

        Raises:
            RuntimeApiError: refused; 413 above 6 MiB.
        """
        await self._exchange("POST", f"/invocation/{invocation.request_id}/response", body, _echo(invocation))

    async def connect(self) -> Connection:
        """For a streamed answer: `stream_head`, then chunks, then `last_chunk`.

        Raises:
            RuntimeApiError
        """
        return await Connection.open(self._address)

    def stream_head(self, invocation: Invocation) -> bytes:
        """The head of a streamed answer."""
        headers = {
            "Host": self._address,
            "Content-Type": STREAM_TYPE,
            "Lambda-Runtime-Function-Response-Mode": "streaming",
            "Transfer-Encoding": "chunked",
            "Trailer": f"{ERROR_TYPE}, {ERROR_BODY}",
            **_echo(invocation),
            "Connection": "close",
        }
        return _head("POST", f"/invocation/{invocation.request_id}/response", headers)

    async def fail(self, invocation: Invocation, document: Mapping[str, Any]) -> None:
        """Report a failed invocation; only before an answer has begun."""
        await self._report(f"/invocation/{invocation.request_id}/error", document, _echo(invocation))

    async def fail_init(self, document: Mapping[str, Any]) -> None:
        """Report that there is nothing to serve. The process ends after that."""
        await self._report("/init/error", document)

    async def restore_next(self) -> None:
        """SnapStart: the snapshot is taken while this waits; it returns in a restored environment."""
        await self._exchange("GET", "/restore/next")

    async def fail_restore(self, document: Mapping[str, Any]) -> None:
        """SnapStart: a hook after the restore failed."""
        await self._report("/restore/error", document)

    async def _report(self, path: str, document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        more = {**(headers or {}), "Content-Type": "application/json", ERROR_TYPE: str(document["errorType"])}
        await self._exchange("POST", path, json.dumps(document).encode(), more)

    async def _exchange(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Response:
        connection = await Connection.open(self._address)
        try:
            length = {"Content-Length": str(len(body))} if method == "POST" else {}
            own = {"Host": self._address, **(headers or {}), **length, "Connection": "close"}
            await connection.send(_head(method, path, own), body)
            answer = await connection.response()
        finally:
            connection.abort()
        if not 200 <= answer.status < 300:  # noqa: PLR2004  HTTP's success
            shown = answer.body[:200].decode(errors="replace")
            raise RuntimeApiError(f"the Runtime API answered {path} with {answer.status}: {shown}")
        return answer


def chunk(data: bytes) -> tuple[bytes, bytes, bytes]:
    """One chunk of HTTP's chunked coding. The data must not be empty: that would end the body."""
    data = bytes(data)
    return (b"%x\r\n" % len(data), data, b"\r\n")


def last_chunk(document: Mapping[str, Any] | None = None) -> bytes:
    """The end of a streamed answer; with trailers that tell Lambda of a failure."""
    if document is None:
        return b"0\r\n\r\n"
    encoded = base64.b64encode(json.dumps(shortened(document)).encode()).decode()
    return f"0\r\n{ERROR_TYPE}: {document['errorType']}\r\n{ERROR_BODY}: {encoded}\r\n\r\n".encode()


def shortened(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without what makes it too long for trailers; the innermost frames stay."""
    short = {**document, "errorMessage": str(document["errorMessage"])[:LONGEST_MESSAGE], "stackTrace": []}
    for frame in reversed(document.get("stackTrace", ())):
        longer = {**short, "stackTrace": [frame, *short["stackTrace"]]}
        if len(json.dumps(longer)) > LONGEST_DOCUMENT:
            break
        short = longer
    return short


def _echo(invocation: Invocation) -> dict[str, str]:
    return {"Lambda-Runtime-Invocation-Id": invocation.invocation_id} if invocation.invocation_id else {}


def _head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {VERSION}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
