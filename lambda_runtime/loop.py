"""The life of an environment: init, lifespan startup, then one invocation after the other, until Lambda ends it."""

import asyncio
import gc
import inspect
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

from lambda_runtime import logs, snapstart
from lambda_runtime.api import RuntimeApi, error_document
from lambda_runtime.environment import Environment, set_import_path, set_trace_id
from lambda_runtime.function import Function
from lambda_runtime.invocation import CURRENT
from lambda_runtime.lifespan import Lifespan, LifespanFailed
from lambda_runtime.serving import Server
from lambda_runtime.settling import task_factory
from lambda_runtime.wire import RuntimeApiError

logger = logging.getLogger(__name__)

# Lambda sends SIGTERM about half a second before it kills, and only where an extension is registered
# (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html).
SHUTDOWN_SECONDS = 0.3

EXIT_FAILED = 1
# The stock runtime's exit codes (awslambdaric's bootstrap).
EXIT_BEFORE_SNAPSHOT = 64
EXIT_AFTER_RESTORE = 65


class HandlerError(Exception):
    """`Handler` names nothing that can be served."""


class _Stop(Exception):
    """The process is to end with this exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def run(environment: Environment) -> NoReturn:
    """Serve until Lambda ends the process, then exit: 0 after a SIGTERM, another code after a failure."""
    logs.configure(environment)
    with asyncio.Runner() as runner:
        runner.get_loop().set_task_factory(task_factory)
        code = runner.run(_live(environment))
        # Not through the runner's end: it waits for every task that does not take its cancellation.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


async def _live(environment: Environment) -> int:
    api = RuntimeApi(environment.runtime_api)
    try:
        function, lifespan = await _init(environment, api)
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        await _serve(api, Server(api, function, lifespan, environment), lifespan, stopping)
        await lifespan.stop(SHUTDOWN_SECONDS)
    except _Stop as stop:
        return stop.code
    except (RuntimeApiError, LifespanFailed) as error:
        logger.critical("the environment ends: %s", error)
        return EXIT_FAILED
    return 0


async def _init(environment: Environment, api: RuntimeApi) -> tuple[Function, Lifespan]:
    try:
        # Nothing that is imported is garbage: looking for some takes a sixth of the time of a large import.
        gc.disable()
        function = load(environment)
        lifespan = Lifespan(function.app)
        await lifespan.start()
    except BaseException as error:
        # SystemExit as well: a handler module that exits must be reported, too.
        logger.critical(
            "init failed: %s: %s", type(error).__name__, error, exc_info=not isinstance(error, HandlerError)
        )
        with suppress(RuntimeApiError):
            await api.fail_init(error_document(error, str(error), kind=f"Runtime.{type(error).__name__}"))
        raise _Stop(EXIT_FAILED) from error
    if environment.snap_start:
        await _snapshot(api, function)
    # What is there now stays: later collections need not look at it.
    gc.freeze()
    gc.enable()
    return function, lifespan


def load(environment: Environment) -> Function:
    """What `Handler` names: an ASGI app, or a callable without arguments that returns one or a `Function`.

    Raises:
        HandlerError: there is no such thing.
        Exception: whatever importing or calling it raises.
    """
    module_name, _, attribute = environment.handler.rpartition(".")
    if not module_name:
        raise HandlerError(f"the function's Handler must be 'module.attribute', not {environment.handler!r}")
    set_import_path(environment.task_root)
    module = import_module(module_name.replace("/", "."))
    found = getattr(module, attribute, None)
    if isinstance(found, Function):
        return found
    if not callable(found):
        raise HandlerError(f"{module_name!r} has no ASGI app or factory {attribute!r}")
    if _takes_no_arguments(found):
        found = found()
    if not isinstance(found, Function) and not callable(found):
        raise HandlerError(f"{environment.handler!r} returned {type(found).__name__}, which is no ASGI app")
    return found if isinstance(found, Function) else Function(app=found)


def _takes_no_arguments(found: Callable[..., object]) -> bool:
    """Whether it is a factory: an app takes three arguments, and is asynchronous."""
    if inspect.iscoroutinefunction(found):
        return False
    parameters = inspect.signature(found).parameters.values()
    return all(p.default is not p.empty or p.kind in {p.VAR_KEYWORD, p.VAR_POSITIONAL} for p in parameters)


async def _snapshot(api: RuntimeApi, function: Function) -> None:
    await _or_stop(
        lambda: snapstart.before_snapshot(function), api.fail_init, "Runtime.BeforeSnapshotError", EXIT_BEFORE_SNAPSHOT
    )
    await _or_stop(api.restore_next, api.fail_init, "Runtime.BeforeSnapshotError", EXIT_BEFORE_SNAPSHOT)
    await _or_stop(
        lambda: snapstart.after_restore(function), api.fail_restore, "Runtime.AfterRestoreError", EXIT_AFTER_RESTORE
    )


async def _or_stop(
    step: Callable[[], Awaitable[None]], report: Callable[[dict[str, object]], Awaitable[None]], kind: str, code: int
) -> None:
    try:
        await step()
    except Exception as error:
        logger.critical("%s: %s", kind, error, exc_info=True)
        with suppress(RuntimeApiError):
            await report(error_document(error, str(error), kind=kind))
        raise _Stop(code) from error


async def _serve(api: RuntimeApi, server: Server, lifespan: Lifespan, stopping: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    stop = loop.create_task(stopping.wait())
    while True:
        coming = loop.create_task(api.next())
        await asyncio.wait(
            {coming, stop, *([lifespan.ended] if lifespan.ended else [])}, return_when=asyncio.FIRST_COMPLETED
        )
        if not coming.done():
            if lifespan.ended is not None and lifespan.ended.done():
                raise LifespanFailed(f"the app's lifespan failed: {type(lifespan.ended.exception()).__name__}")
            if not stopping.is_set():
                # A lifespan that has ended in peace.
                await asyncio.wait({coming, stop}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.is_set() and not coming.done():
            coming.cancel()
            return
        invocation = coming.result()
        set_trace_id(invocation.trace_id)
        token = CURRENT.set(invocation)
        try:
            # One turn of the loop: connections that were closed while the process was frozen are seen as closed.
            await asyncio.sleep(0)
            await server.serve(invocation)
        finally:
            CURRENT.reset(token)
