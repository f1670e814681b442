"""API Gateway's part: takes HTTP, makes events, passes answers on as they come, keeps the documented limits."""

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.front import events
from tests.front.environment import Answer, Environment, Launch
from tests.front.http1 import HEAD_LIMIT, Head, read_body, read_head, response

DELIMITER = b"\0" * 8
LARGEST_BODY = 10 * 1024 * 1024
LARGEST_EVENT = 6 * 1024 * 1024
LARGEST_HEADERS = 10_240
LARGEST_PRELUDE = 16 * 1024
QUEUE_SECONDS = 60


@dataclass(frozen=True, kw_only=True)
class FrontOptions:
    """How the front behaves.

    Attributes:
        environments: how many may run at once; more requests wait.
        buffered: invoke without streaming, as an integration in buffered mode does.
        idle_seconds: silence after which the gateway gives up on a stream.
        freeze: stop the process (SIGSTOP) whenever it waits for an event.
        event: v1, v2 or alb.
        error_objects: answer as the template's GatewayResponses do, and not as API Gateway does by default.
    """

    environments: int = 1
    buffered: bool = False
    idle_seconds: float = 300.0
    freeze: bool = False
    error_objects: bool = False
    event: Callable[[Head, bytes], dict[str, Any]] = events.v1


@dataclass
class Front:
    """A running front."""

    launch: Launch
    options: FrontOptions
    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    environments: list[Environment] = field(default_factory=list)
    _idle: "asyncio.Queue[Environment]" = field(default_factory=asyncio.Queue)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)
    _server: asyncio.Server | None = None
    loop: asyncio.AbstractEventLoop | None = None

    async def start(self, port: int = 0) -> None:
        self.loop = asyncio.get_running_loop()
        self._slots = asyncio.Semaphore(self.options.environments)
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", port, limit=HEAD_LIMIT)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for environment in self.environments:
            await environment.stop()
        # All that runs on this loop is ours: exchanges that wait for a reader who has stopped reading, for one.
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Closed transports let go of their sockets in the next turns of the loop.
        for _ in range(3):
            await asyncio.sleep(0)

    def call(self, work: Any) -> Any:
        """Run a coroutine on the front's loop, from a test's thread."""
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def log(self) -> str:
        return self.launch.log.read_text() if self.launch.log.exists() else ""

    async def ready(self) -> Environment:
        """Start an environment ahead of any request, and wait for it."""
        environment = await self._new()
        self._idle.put_nowait(environment)
        return environment

    async def settled(self) -> None:
        """Wait until every environment waits for an event, or has ended."""
        for environment in self.environments:
            await environment.ready()

    async def _new(self) -> Environment:
        environment = Environment(self.launch)
        self.environments.append(environment)
        await environment.start()
        await environment.ready()
        return environment

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (head := await read_head(reader)) is not None:
                if head.get("expect"):
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await read_body(reader, head)
                if not await self._request(head, body, writer) or head.get("connection").lower() == "close":
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # The front stops: what a stalled reader did not take is dropped.
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _request(self, head: Head, body: bytes, writer: asyncio.StreamWriter) -> bool:
        """Answer one request. False: the connection is to be closed, as after an answer that broke off."""
        if sum(len(name) + len(value) for name, value in head.headers) > LARGEST_HEADERS:
            return await self._refuse(writer, 431, "Request header fields too large")
        event = json.dumps(self.options.event(head, body)).encode()
        if len(body) > LARGEST_BODY or len(event) > LARGEST_EVENT:
            return await self._refuse(writer, 413, "Request Too Long")
        async with asyncio.timeout(QUEUE_SECONDS):
            await self._slots.acquire()
        environment = self._idle.get_nowait() if not self._idle.empty() else await self._new()
        if environment.exited.is_set():
            self._slots.release()
            return await self._refuse(writer, 502, "Internal server error")
        answer = await environment.invoke(event)
        self.answers.append(answer)
        # The function runs on when its caller has gone.
        done = asyncio.create_task(self._release(environment))
        self._tasks.add(done)
        done.add_done_callback(self._tasks.discard)
        return await self._pass_on(head, answer, writer)

    async def _release(self, environment: Environment) -> None:
        if await environment.ready() and not environment.exited.is_set():
            if self.options.freeze:
                environment.freeze()
            self._idle.put_nowait(environment)
        self._slots.release()

    async def _pass_on(self, head: Head, answer: Answer, writer: asyncio.StreamWriter) -> bool:
        await answer.began.wait()
        if answer.error is not None:
            return await self._refuse(writer, 502, "Internal server error")
        pieces = answer.body()
        if not answer.streamed:
            if not self.options.buffered and not answer.verdict:
                return await self._refuse(writer, 502, "Internal server error")
            return await self._whole([piece async for piece in pieces], answer, writer)
        if self.options.buffered:
            return await self._refuse(writer, 502, "Internal server error")
        first = b""
        while DELIMITER not in first:
            piece = await self._piece(answer)
            if piece is None or len(first) > LARGEST_PRELUDE:
                return await self._refuse(
                    writer, 504 if answer.verdict == "Task timed out" else 502, "Internal server error"
                )
            first += piece
        raw, _, rest = first.partition(DELIMITER)
        if len(raw) > LARGEST_PRELUDE:
            return await self._refuse(writer, 502, "Internal server error")
        status, headers = _status_and_headers(json.loads(raw))
        bodiless = head.method == "HEAD" or status in {204, 304}
        framing = [] if bodiless else [("transfer-encoding", "chunked")]
        gone = False
        with suppress(ConnectionError):
            writer.write(response(status, [*headers, *framing]))
        more: bytes | None = rest
        while more is not None:
            if more and not bodiless and not gone:
                try:
                    # Not `writelines`: in Python 3.13.0 it knows no back pressure.
                    writer.write(b"%x\r\n%b\r\n" % (len(more), more))
                    await writer.drain()
                except ConnectionError:
                    gone = True
            more = await self._piece(answer)
        if answer.trailers or answer.verdict:
            return False
        if not bodiless and not gone:
            writer.write(b"0\r\n\r\n")
        return not gone

    async def _refuse(self, writer: asyncio.StreamWriter, status: int, message: str) -> bool:
        document: dict[str, Any] = {"message": message}
        headers = [("content-type", "application/json")]
        if self.options.error_objects:
            document = {"type": "error", "error": {"message": message, "type": "x", "param": None, "code": str(status)}}
            headers.append(("x-request-id", "front"))
        body = json.dumps(document).encode()
        writer.write(response(status, [*headers, ("content-length", str(len(body)))], body))
        await writer.drain()
        return True

    async def _piece(self, answer: Answer) -> bytes | None:
        try:
            async with asyncio.timeout(self.options.idle_seconds):
                return await answer.pieces.get()
        except TimeoutError:
            answer.verdict = answer.verdict or "the gateway's idle timeout"
            # What comes now is nobody's, but must not block the function.
            task = asyncio.create_task(_drop(answer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return None

    async def _whole(self, pieces: list[bytes], answer: Answer, writer: asyncio.StreamWriter) -> bool:
        if answer.verdict:
            return await self._refuse(writer, 502, "Internal server error")
        document = json.loads(b"".join(pieces))
        body = base64.b64decode(document["body"]) if document.get("isBase64Encoded") else document["body"].encode()
        status, headers = _status_and_headers(document)
        headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        writer.write(response(status, [*headers, ("content-length", str(len(body)))], body))
        return True


async def _drop(answer: Answer) -> None:
    async for _ in answer.body():
        pass


def _status_and_headers(document: dict[str, Any]) -> tuple[int, list[tuple[str, str]]]:
    headers = list((document.get("headers") or {}).items())
    for name, values in (document.get("multiValueHeaders") or {}).items():
        headers += [(name, value) for value in values]
    headers += [("set-cookie", value) for value in document.get("cookies") or ()]
    return document["statusCode"], headers


@contextmanager
def fronted(launch: Launch, **options: Any) -> Iterator[Front]:
    """A front in a thread of its own."""
    front = Front(launch, FrontOptions(**options))
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="front", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(front.start(), loop).result(10)
        yield front
    finally:
        asyncio.run_coroutine_threadsafe(front.stop(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
