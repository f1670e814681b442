"""One invocation: event → app → answer, within the time that Lambda gives."""

import asyncio
import logging
from typing import Any

from lambda_runtime.api import RuntimeApi, error_document
from lambda_runtime.environment import Environment
from lambda_runtime.events import HttpRequest, UnsupportedEvent, translate
from lambda_runtime.function import (
    DEADLINE,
    Failure,
    FailureKind,
    Function,
    Message,
    RenderedFailure,
    ResponseMode,
    render_plainly,
)
from lambda_runtime.invocation import Invocation, LambdaContext
from lambda_runtime.lifespan import Lifespan
from lambda_runtime.responders import (
    LARGEST_BUFFERED,
    AnswerIncomplete,
    BufferedResponder,
    Responder,
    StreamedResponder,
)
from lambda_runtime.settling import settle, tasks_noted
from lambda_runtime.wire import RuntimeApiError

logger = logging.getLogger(__name__)

# Before Lambda's deadline: enough to cancel the app and to send what ends the answer.
CUT_SECONDS = 0.25
CLEANUP_SECONDS = 0.05
# Of Lambda's time, to ask for the next invocation before it ends this environment.
LAST_SECONDS = 0.1
# For an app to see that Lambda takes no more of its answer, before it is cancelled.
GRACE_SECONDS = 1.0


class AppExited(Exception):
    """The app tried to end the process."""


class DeadlineReached(Exception):
    """Lambda is about to end the invocation."""


class Server:
    """Answers invocations with one app."""

    def __init__(self, api: RuntimeApi, function: Function, lifespan: Lifespan, environment: Environment) -> None:
        self._api = api
        self._function = function
        self._lifespan = lifespan
        self._environment = environment

    async def serve(self, invocation: Invocation) -> None:
        """Answer, then wait (bounded) for what the request left running.

        Raises:
            RuntimeApiError: the Runtime API did not take the report of a failed invocation.
        """
        context = LambdaContext(invocation, self._environment)
        try:
            request = translate(invocation, context, mode=self._function.response_mode)
        except UnsupportedEvent as error:
            logger.error("%s", error)  # noqa: TRY400  the stack tells nothing
            await self._api.fail(invocation, error_document(error, str(error)))
            return
        with tasks_noted() as tasks:
            responder = self._responder(invocation, request)
            try:
                await self._answer(invocation, request, responder)
            except RuntimeApiError as error:
                # The caller is served as well as it can be; the next one must not suffer.
                logger.error("an answer could not be given: %s", error)  # noqa: TRY400  likewise
        time_left = invocation.seconds_left - CUT_SECONDS
        await settle(tasks, max(0.0, min(self._function.settle_seconds, time_left)))

    def _responder(self, invocation: Invocation, request: HttpRequest) -> Responder:
        if request.mode is ResponseMode.BUFFERED:
            return BufferedResponder(self._api, invocation, request)
        return StreamedResponder(self._api, invocation, request, fill_empty_bodies=self._function.fill_empty_bodies)

    async def _answer(self, invocation: Invocation, request: HttpRequest, responder: Responder) -> None:
        path = request.scope["path"]
        if request.body is None:
            await responder.answer(self._rendered(Failure(kind=FailureKind.MALFORMED_EVENT, path=path)))
            return
        gone = asyncio.Event()
        app = asyncio.get_running_loop().create_task(self._run_app(invocation, request, responder, gone))
        await _first_of(app, responder, seconds=invocation.seconds_left - CUT_SECONDS)
        # From here on `receive` tells the app that nobody listens any more.
        gone.set()
        error: BaseException | None = None
        if not app.done() and not responder.finished.is_set():
            if responder.broken.is_set():
                await asyncio.wait({app}, timeout=min(GRACE_SECONDS, max(0.0, invocation.seconds_left - CUT_SECONDS)))
            else:
                error = DeadlineReached("Lambda's time for this invocation is over")
            if not app.done():
                app.cancel()
                await asyncio.wait({app}, timeout=CLEANUP_SECONDS)
        if responder.finished.is_set():
            # Whatever the app does now is background work. Its failure is nobody's answer, but must be told.
            app.add_done_callback(self._tell_late_failure)
            return
        if error is None:
            error = (None if app.cancelled() or not app.done() else app.exception()) or AnswerIncomplete(
                "the app ended without finishing its answer"
            )
        try:
            async with asyncio.timeout(max(0.0, invocation.seconds_left - LAST_SECONDS)):
                await self._fail(responder, error, path)
        except TimeoutError:
            logger.error("there was no time left to end an answer")  # noqa: TRY400  the stack tells nothing
        finally:
            responder.drop()

    async def _run_app(
        self, invocation: Invocation, request: HttpRequest, responder: Responder, gone: asyncio.Event
    ) -> None:
        pending: list[Message] = [{"type": "http.request", "body": request.body, "more_body": False}]

        async def receive() -> Message:
            """The body, and then nothing until the answer is over: Lambda does not tell of callers that leave."""
            if pending:
                return pending.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        scope = {**request.scope, DEADLINE: invocation.deadline, "state": dict(self._lifespan.state)}
        try:
            await self._function.app(scope, receive, responder.send)
        except (SystemExit, KeyboardInterrupt) as error:
            # asyncio would end the whole process for these, in the middle of an answer.
            raise AppExited(type(error).__name__) from error

    async def _fail(self, responder: Responder, error: BaseException, path: str) -> None:
        message = self._message_of(error)
        document = error_document(error, message)
        logger.error("a request failed: %s", message or type(error).__name__, extra=document)
        if responder.begun:
            await responder.abort(document)
            return
        kind, limit = FailureKind.APP_FAILED, None
        if isinstance(error, DeadlineReached):
            kind = FailureKind.DEADLINE
        elif responder.too_large:
            kind, limit = FailureKind.ANSWER_TOO_LARGE, LARGEST_BUFFERED
        await responder.answer(self._rendered(Failure(kind=kind, path=path, limit=limit)))

    def _rendered(self, failure: Failure) -> RenderedFailure:
        try:
            return self._function.render_failure(failure)
        except Exception:
            logger.exception("render_failure failed")
            return render_plainly(failure)

    def _message_of(self, error: BaseException) -> str:
        try:
            return self._function.message_of(error)
        except Exception:  # noqa: BLE001  an exception that cannot be shown
            return ""

    def _tell_late_failure(self, app: "asyncio.Task[Any]") -> None:
        if not app.cancelled() and (error := app.exception()) is not None:
            message = self._message_of(error)
            logger.error(
                "work after an answer failed: %s", message or type(error).__name__, extra=error_document(error, message)
            )


async def _first_of(app: "asyncio.Task[None]", responder: Responder, *, seconds: float) -> None:
    """Wait until the app has ended, its answer is finished or broken, or the time is over."""
    events = [asyncio.ensure_future(event.wait()) for event in (responder.finished, responder.broken)]
    try:
        await asyncio.wait({app, *events}, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for event in events:
            event.cancel()
