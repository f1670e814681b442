"""One Lambda execution environment: the function's process, and the Runtime API that it talks to."""

import asyncio
import base64
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.front.http1 import HEAD_LIMIT, Chunked, Head, read_body, read_head, response

PREFIX = "/2018-06-01/runtime"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How the function is started.

    Attributes:
        command: the process, such as the wrapper script with its two arguments.
        tree: LAMBDA_TASK_ROOT, and the working directory.
        environment: all of the child's environment, but for what Lambda sets itself.
        seconds: the function's timeout.
    """

    command: tuple[str, ...]
    tree: Path
    handler: str
    environment: dict[str, str]
    log: Path
    seconds: float = 60.0
    log_json: bool = True
    invocation_ids: bool = True
    snap_start: bool = False
    # What only a stray test needs: pieces of the Runtime API's answers to bend.
    next_headers: dict[str, str] = field(default_factory=dict)
    # Answer a streamed answer with 413 after that many reads, and read no more of it.
    refuse_after: int | None = None


@dataclass
class Answer:
    """What the function sent for one invocation."""

    request_id: str
    streamed: bool = False
    content_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    error: dict[str, Any] | None = None
    trailers: dict[str, str] = field(default_factory=dict)
    pieces: "asyncio.Queue[bytes | None]" = field(default_factory=lambda: asyncio.Queue(64))
    times: list[float] = field(default_factory=list)
    complete: bool = False
    began: asyncio.Event = field(default_factory=asyncio.Event)
    # Lambda's own verdict, such as a timeout or a process that ended.
    verdict: str | None = None

    async def body(self) -> AsyncIterator[bytes]:
        while (piece := await self.pieces.get()) is not None:
            yield piece

    @property
    def trailer_error(self) -> dict[str, Any] | None:
        encoded = self.trailers.get("lambda-runtime-function-error-body")
        return json.loads(base64.b64decode(encoded)) if encoded else None


class Environment:
    """Started once, then invoked, one event at a time."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._process: asyncio.subprocess.Process | None = None
        self._server: asyncio.Server | None = None
        self._events: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(1)
        self._current: Answer | None = None
        self._asked = asyncio.Event()
        self._restore = asyncio.Event()
        self.init_error: dict[str, Any] | None = None
        self.restore_error: dict[str, Any] | None = None
        self.restore_asked = asyncio.Event()
        self.exited = asyncio.Event()
        self.started_at = 0.0
        self.ready_at = 0.0
        self.frozen = False

    @property
    def init_seconds(self) -> float:
        return self.ready_at - self.started_at

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode if self._process else None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._exchange, "127.0.0.1", 0, limit=HEAD_LIMIT)
        port = self._server.sockets[0].getsockname()[1]
        launch = self._launch
        environment = {
            **launch.environment,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
            "_HANDLER": launch.handler,
            "LAMBDA_TASK_ROOT": str(launch.tree),
            "AWS_LAMBDA_FUNCTION_NAME": "zerogate",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/zerogate",
            "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/23/[1]0",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start" if launch.snap_start else "on-demand",
        }
        if launch.log_json:
            environment["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        with launch.log.open("ab") as log:
            self.started_at = time.monotonic()
            self._process = await asyncio.create_subprocess_exec(
                *launch.command, cwd=launch.tree, env=environment, stdout=log, stderr=log
            )
        self._watcher = asyncio.create_task(self._watch())

    async def ready(self) -> bool:
        """Wait until the function has asked for the next event; False when the process ended before."""
        await first_of(self._asked.wait(), self.exited.wait())
        return self._asked.is_set()

    async def invoke(self, event: bytes) -> Answer:
        """Hand over an event. The answer fills as it comes."""
        self.thaw()
        answer = Answer(str(uuid4()))
        self._current = answer
        self._asked.clear()
        await self._events.put((answer.request_id, event))
        self._killer = asyncio.create_task(self._kill_at_deadline(answer))
        return answer

    def freeze(self) -> None:
        if not self.frozen:
            self.frozen = True
            os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        if self.frozen:
            self.frozen = False
            os.kill(self.pid, signal.SIGCONT)

    def restore(self) -> None:
        """SnapStart: let `restore/next` return."""
        self._restore.set()

    async def terminate(self) -> int:
        """As Lambda does where an extension is registered: SIGTERM, and SIGKILL half a second later."""
        assert self._process is not None
        self.thaw()
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(0.5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
        return await self._process.wait()

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self.thaw()
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        if self._server is not None:
            self._server.close()
        for task in (getattr(self, "_watcher", None), getattr(self, "_killer", None)):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _watch(self) -> None:
        assert self._process is not None
        await self._process.wait()
        self.exited.set()
        self._end("the process ended")

    async def _kill_at_deadline(self, answer: Answer) -> None:
        await first_of(self._asked.wait(), seconds=self._launch.seconds)
        if not self._asked.is_set() and self._current is answer and self._process is not None:
            self._end("Task timed out")
            with suppress(ProcessLookupError):
                self._process.kill()

    def _end(self, verdict: str) -> None:
        answer = self._current
        if answer is not None and not answer.complete and answer.verdict is None:
            answer.verdict = verdict
            answer.began.set()
            with suppress(asyncio.QueueFull):
                answer.pieces.put_nowait(None)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await read_head(reader)
            if head is not None:
                await self._routed(head, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            writer.close()

    async def _routed(self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = head.target.removeprefix(PREFIX)
        if path == "/invocation/next":
            await self._next(reader, writer)
            return
        if path == "/restore/next":
            self.restore_asked.set()
            await self._restore.wait()
            writer.write(response(200, [("content-length", "0")]))
            return
        if path in {"/init/error", "/restore/error"}:
            document = json.loads(await read_body(reader, head))
            if path == "/init/error":
                self.init_error = document
            else:
                self.restore_error = document
            writer.write(_accepted())
            return
        _, _, request_id, kind = path.split("/")
        answer = self._current
        assert answer is not None
        if request_id != answer.request_id:
            writer.write(response(400, [("content-length", "0")]))
            return
        answer.headers = {name.lower(): value for name, value in head.headers}
        if kind == "error":
            answer.error = json.loads(await read_body(reader, head))
            answer.began.set()
            await answer.pieces.put(None)
        else:
            await self._take(answer, head, reader, writer)
        answer.complete = True
        writer.write(_accepted())
        await writer.drain()

    async def _next(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.ready_at:
            self.ready_at = time.monotonic()
        self._asked.set()
        taken = await first_of(self._events.get(), reader.read(1))
        if not isinstance(taken, tuple):
            return
        request_id, event = taken
        headers = {
            "content-type": "application/json",
            "content-length": str(len(event)),
            "lambda-runtime-aws-request-id": request_id,
            "lambda-runtime-deadline-ms": str(int((time.time() + self._launch.seconds) * 1000)),
            "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-1:123456789012:function:zerogate:live",
            "lambda-runtime-trace-id": f"Root=1-{request_id}",
            **({"lambda-runtime-invocation-id": f"inv-{request_id}"} if self._launch.invocation_ids else {}),
            **self._launch.next_headers,
        }
        writer.write(response(200, list(headers.items()), event))
        await writer.drain()

    async def _take(
        self, answer: Answer, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        mode = head.get("lambda-runtime-function-response-mode")
        answer.streamed, answer.content_type = mode == "streaming", head.get("content-type")
        answer.began.set()
        if not answer.streamed:
            await answer.pieces.put(await read_body(reader, head))
            await answer.pieces.put(None)
            return
        body = Chunked(reader)
        async for piece in body:
            answer.times.append(time.monotonic())
            await answer.pieces.put(piece)
            if len(answer.times) == self._launch.refuse_after:
                answer.verdict = "refused"
                writer.write(response(413, [("content-length", "0")]))
                await answer.pieces.put(None)
                # The connection stays open, and unread.
                await self._asked.wait()
                return
        answer.trailers = body.trailers
        if not body.complete:
            answer.verdict = "the answer broke off"
        await answer.pieces.put(None)


async def first_of(*waits: Coroutine[Any, Any, Any], seconds: float | None = None) -> Any:
    """What the first of them returns; the others are cancelled, and so are all when the time is over."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return next((task.result() for task in tasks if task in done), None)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _accepted() -> bytes:
    return response(202, [("content-type", "application/json"), ("content-length", "16")], b'{"status":"OK"}\n')


def wrapper_command(tree: Path, python: str) -> tuple[str, ...]:
    """As Lambda starts a function with AWS_LAMBDA_EXEC_WRAPPER: the script, the interpreter, the stock bootstrap."""
    return (str(tree / "run.sh"), python, "/var/runtime/bootstrap.py")
