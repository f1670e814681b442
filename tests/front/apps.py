"""A small ASGI application for tests of `lambda_runtime`: each path is a way to behave, good or bad."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from lambda_runtime import DEADLINE, Function, ResponseMode

logger = logging.getLogger("app")
Send = Callable[[dict[str, Any]], Awaitable[None]]
# Not in the text of any line that raises: traces quote those.
SECRET = "planted" + "-secret"
TEXT = [(b"content-type", b"text/plain")]


async def start(send: Send, status: int = 200, headers: list[tuple[bytes, bytes]] = TEXT) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def body(send: Send, data: bytes = b"", *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


class App:
    def __init__(self) -> None:
        self.pid = os.getpid()
        self.late: list[str] = []
        self.forever: asyncio.Event | None = None

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(scope, receive, send)
            return
        self.scope: Any = scope
        self.receive: Any = receive
        name = scope["path"].strip("/").replace("-", "_") or "echo"
        await getattr(self, f"do_{name}")(send)

    async def lifespan(self, scope: Any, receive: Any, send: Send) -> None:
        await receive()
        if os.environ.get("STARTUP") == "refused":
            await send({"type": "lifespan.startup.failed", "message": "the database is away"})
            return
        if os.environ.get("STARTUP") == "raises":
            raise ValueError("a broken start")
        if os.environ.get("STARTUP") == "exits":
            sys.exit(0)
        scope["state"]["shared"] = "from the lifespan"
        self.forever = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.forever.wait())
            await send({"type": "lifespan.startup.complete"})
            await receive()
            task.cancel()
        print("lifespan: shutdown", flush=True)
        await send({"type": "lifespan.shutdown.complete"})

    def asked(self, name: str, default: str = "") -> str:
        values: list[str] = parse_qs(self.scope["query_string"].decode()).get(name, [default])
        return values[0]

    async def content(self) -> bytes:
        data, more = b"", True
        while more:
            message = await self.receive()
            data, more = data + message.get("body", b""), message.get("more_body", False)
        return data

    async def do_echo(self, send: Send) -> None:
        scope = self.scope
        content = await self.content()
        shown = {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "headers": [[n.decode(), v.decode()] for n, v in scope["headers"]],
            "body": content.decode(errors="replace"),
            "size": len(content),
            "state": dict(scope["state"]),
            "spec": scope["asgi"]["spec_version"],
            "seconds_left": scope[DEADLINE] - asyncio.get_running_loop().time(),
            "context": scope["aws.context"].aws_request_id,
            "millis": scope["aws.context"].get_remaining_time_in_millis(),
            "trace": os.environ.get("_X_AMZN_TRACE_ID"),
            "pid": self.pid,
            "late": self.late,
        }
        scope["state"]["shared"] = "changed by a request"
        await start(send, headers=[(b"content-type", b"application/json")])
        await body(send, json.dumps(shown).encode())

    async def do_binary(self, send: Send) -> None:
        content = await self.content()
        await start(send, headers=[(b"content-type", b"application/octet-stream")])
        await body(send, content[::-1])

    async def do_stream(self, send: Send) -> None:
        count, delay = int(self.asked("count", "3")), float(self.asked("delay", "0"))
        await start(send)
        for number in range(count):
            if delay:
                await asyncio.sleep(delay)
            await body(send, f"{number}\n".encode(), more=True)
        await body(send)

    async def do_empty_pieces(self, send: Send) -> None:
        await start(send)
        for piece in (b"", b"a", b"", b"b"):
            await body(send, piece, more=True)
        await body(send)

    async def do_headers(self, send: Send) -> None:
        await start(
            send,
            201,
            [
                (b"Set-Cookie", b"a=1"),
                (b"set-cookie", b"b=2"),
                (b"vary", b"x"),
                (b"Vary", b"y"),
                (b"content-length", b"2"),
                (b"connection", b"close"),
                (b"x-latin", "é".encode("latin-1")),
            ],
        )
        await body(send, b"ok")

    async def do_status(self, send: Send) -> None:
        await start(send, int(self.asked("status")), [])
        await body(send)

    async def do_raises(self, send: Send) -> None:
        await start(send)
        raise ValueError(f"{SECRET} before the answer")

    async def do_breaks(self, send: Send) -> None:
        await start(send)
        await body(send, b"one\n", more=True)
        await body(send, b"two\n", more=True)
        raise ValueError(f"{SECRET} within the answer")

    async def do_forgets(self, send: Send) -> None:
        await start(send)
        await body(send, b"one\n", more=True)

    async def do_silent(self, send: Send) -> None:
        return

    async def do_hangs(self, send: Send) -> None:
        await asyncio.Event().wait()

    async def do_hangs_within(self, send: Send) -> None:
        await start(send)
        await body(send, b"one\n", more=True)
        await asyncio.Event().wait()

    async def do_large(self, send: Send) -> None:
        size = int(self.asked("size"))
        await start(send)
        block = b"x" * 65536
        while size > 0:
            await body(send, block[:size], more=True)
            size -= len(block)
        await body(send)

    async def do_background(self, send: Send) -> None:
        await start(send)
        await body(send, b"ok")
        await asyncio.sleep(0.2)
        self.late.append("after the answer")

    async def do_spawns(self, send: Send) -> None:
        async def work() -> None:
            await asyncio.sleep(0.2)
            self.late.append("spawned")

        self.task = asyncio.create_task(work())
        await start(send)
        await body(send, b"ok")

    async def do_never_settles(self, send: Send) -> None:
        self.task = asyncio.create_task(asyncio.sleep(3600))
        await start(send)
        await body(send, b"ok")

    async def do_fails_late(self, send: Send) -> None:
        await start(send)
        await body(send, b"ok")
        raise ValueError(f"{SECRET} after the answer")

    async def do_logs(self, send: Send) -> None:
        logger.warning("a %s", "warning", extra={"field": 7})
        try:
            raise ValueError("told")
        except ValueError:
            logger.exception("a failure")
        await start(send)
        await body(send, b"ok")

    async def do_breaks_deep(self, send: Send) -> None:
        await start(send)
        await body(send, b"one\n", more=True)

        def deeper(levels: int) -> None:
            if levels == 0:
                raise ValueError(SECRET * 1000)
            deeper(levels - 1)

        deeper(60)

    async def do_side_by_side(self, send: Send) -> None:
        await start(send)
        async with asyncio.TaskGroup() as tasks:
            for piece in (b"a" * 100_000, b"b" * 100_000, b"c" * 100_000):
                tasks.create_task(body(send, piece, more=True))
        await body(send)

    async def do_listens(self, send: Send) -> None:
        await self.content()

        async def flow() -> None:
            await start(send)
            while True:
                await body(send, b"x" * 65536, more=True)

        task = asyncio.create_task(flow())
        message = await self.receive()
        print(f"told: {message['type']}", flush=True)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def do_sys_exit(self, send: Send) -> None:
        sys.exit(0)

    async def do_sys_exit_within(self, send: Send) -> None:
        await start(send)
        await body(send, b"one\n", more=True)
        sys.exit(0)

    async def do_odd_logs(self, send: Send) -> None:
        logger.warning("odd", extra={"level": "x", "nan": float("nan"), "pairs": {(1, 2): 3}})
        await start(send)
        await body(send, b"ok")

    async def do_exits(self, send: Send) -> None:
        os._exit(3)


app = App()


def build() -> Function:
    return Function(app=App(), settle_seconds=1.0, message_of=lambda error: type(error).__name__)


def buffered() -> Function:
    return Function(app=App(), response_mode=ResponseMode.BUFFERED, message_of=lambda error: type(error).__name__)


def filling() -> Function:
    return Function(app=App(), fill_empty_bodies=True)


async def without_lifespan(scope: Any, receive: Any, send: Send) -> None:
    assert scope["type"] == "http"
    await start(send)
    await body(send, b"ok")


def hooked() -> Function:
    async def before() -> None:
        print("hook: before", flush=True)
        if os.environ.get("HOOK") == "before":
            raise ValueError("no snapshot")

    async def after() -> None:
        print("hook: after", flush=True)
        if os.environ.get("HOOK") == "after":
            raise ValueError("no restore")

    return Function(app=App(), before_snapshot=before, after_restore=after)


nothing = None


def returns_nothing() -> None:
    """A factory that forgot its app."""


def unspeakable() -> Function:
    def raises(_: object) -> Any:
        raise RuntimeError("no words")

    return Function(app=App(), message_of=raises, render_failure=raises)


def exits() -> Function:
    raise SystemExit("the factory gave up")
