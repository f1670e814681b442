"""`lambda_runtime` out of the built artifact, under the local front, with a small app that behaves well and badly."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra_sam.build import ROOT
from tests.deployed import artifact, system_python
from tests.front import Front, Launch, events, fronted
from tests.front.environment import wrapper_command
from tests.served import clean_environment

Start = Callable[..., Front]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a front whose function is the handler of that name in tests/front/apps.py."""
    with ExitStack() as stack:

        def started(handler: str = "build", *, environment: dict[str, str] | None = None, **options: Any) -> Front:
            names = {"refuse_after", "seconds", "log_json", "invocation_ids", "snap_start", "next_headers"}
            launch = Launch(
                command=wrapper_command(artifact(), system_python()),
                tree=artifact(),
                handler=handler if "." in handler else f"apps.{handler}",
                environment=clean_environment(
                    tmp_path,
                    AWS_LAMBDA_LOG_LEVEL="INFO",
                    PYTHONPATH=str(ROOT / "tests" / "front"),
                    **(environment or {}),
                ),
                log=tmp_path / "function.log",
                **{name: options.pop(name) for name in names & options.keys()},
            )
            front: AbstractContextManager[Front] = fronted(launch, **options)
            return stack.enter_context(front)

        yield started


def lines_of(front: Front) -> list[dict[str, Any]]:
    import json

    return [json.loads(line) for line in front.log().splitlines() if line.startswith("{")]


def test_a_request_arrives_as_the_event_says(start: Start) -> None:
    front = start()
    answer = httpx.post(
        f"{front.url}/echo?a=1&a=2&b=%20x",
        content="Grüße",
        headers={"content-type": "text/plain; charset=utf-8", "x-Mixed": "Case"},
    )
    shown = answer.json()
    assert (shown["method"], shown["path"], shown["query"]) == ("POST", "/echo", "a=1&a=2&b=+x")
    assert shown["body"] == "Grüße"
    assert ["x-mixed", "Case"] in shown["headers"]
    assert shown["spec"] == "2.4"
    assert shown["trace"].startswith("Root=1-")
    assert shown["context"] == front.answers[0].request_id
    assert 50 < shown["seconds_left"] <= 60
    assert 50_000 < shown["millis"] <= 60_000


def test_one_process_and_one_lifespan_serve_all_and_each_request_has_a_copy_of_the_state(start: Start) -> None:
    front = start()
    first, second = (httpx.get(f"{front.url}/echo").json() for _ in range(2))
    assert first["pid"] == second["pid"]
    assert first["state"] == second["state"] == {"shared": "from the lifespan"}


@pytest.mark.parametrize("event", [events.v1, events.v2], ids=["rest", "function url"])
def test_an_answer_streams_piece_by_piece(start: Start, event: Any) -> None:
    front = start(event=event)
    arrived: list[tuple[float, str]] = []
    with httpx.stream("GET", f"{front.url}/stream?count=5&delay=0.2") as answer:
        arrived.extend((time.monotonic(), line) for line in answer.iter_lines())
    assert [line for _, line in arrived] == ["0", "1", "2", "3", "4"]
    # Four pauses of 0.2 s lie between the first and the last: they did not come at once.
    assert arrived[-1][0] - arrived[0][0] > 0.4
    headers = front.answers[0].headers
    assert headers["lambda-runtime-function-response-mode"] == "streaming"
    assert headers["content-type"] == "application/vnd.awslambda.http-integration-response"
    assert headers["trailer"] == "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"


def test_the_invocation_id_is_echoed_where_there_is_one(start: Start) -> None:
    with_id, without = start(), start(invocation_ids=False)
    for front in (with_id, without):
        httpx.get(f"{front.url}/echo")
    assert with_id.answers[0].headers["lambda-runtime-invocation-id"].startswith("inv-")
    assert "lambda-runtime-invocation-id" not in without.answers[0].headers


def test_a_trace_id_does_not_outlive_its_invocation(start: Start) -> None:
    front = start(next_headers={"lambda-runtime-trace-id": ""})
    assert httpx.get(f"{front.url}/echo").json()["trace"] is None


@pytest.mark.parametrize("event", [events.v1, events.v2], ids=["rest", "function url"])
@pytest.mark.parametrize("handler", ["build", "buffered"])
def test_headers_and_cookies_arrive_once_each(start: Start, event: Any, handler: str) -> None:
    front = start(handler, event=event, buffered=handler == "buffered")
    answer = httpx.get(f"{front.url}/headers")
    assert (answer.status_code, answer.text) == (201, "ok")
    assert sorted(answer.headers.get_list("set-cookie")) == ["a=1", "b=2"]
    assert answer.headers["vary"].replace(" ", "") == "x,y"
    if handler == "build":
        assert answer.headers["x-latin"] == "é"


@pytest.mark.parametrize(
    ("method", "status"), [("POST", 202), ("DELETE", 204), ("GET", 304), ("HEAD", 200), ("GET", 307)]
)
def test_answers_without_a_body_are_answers(start: Start, method: str, status: int) -> None:
    front = start()
    answer = httpx.request(method, f"{front.url}/status?status={status}")
    assert (answer.status_code, answer.content) == (status, b"")
    assert httpx.get(f"{front.url}/echo").status_code == 200


def test_the_answer_to_head_has_no_body_even_where_the_app_sends_one(start: Start) -> None:
    front = start()
    answer = httpx.head(f"{front.url}/stream?count=3")
    assert (answer.status_code, answer.content) == (200, b"")
    front.call(front.settled())
    assert front.answers[0].complete


def test_empty_pieces_do_not_end_an_answer(start: Start) -> None:
    assert httpx.get(f"{start().url}/empty-pieces").text == "ab"


def test_an_empty_202_can_be_filled_with_one_byte_and_a_204_never(start: Start) -> None:
    front = start("filling")
    assert httpx.post(f"{front.url}/status?status=202").content == b" "
    assert httpx.post(f"{front.url}/status?status=204").content == b""


@pytest.mark.parametrize("handler", ["build", "buffered"])
def test_binary_bodies_pass_both_ways(start: Start, handler: str) -> None:
    front = start(handler, buffered=handler == "buffered")
    data = bytes(range(256)) * 40
    answer = httpx.post(f"{front.url}/binary", content=data, headers={"content-type": "application/octet-stream"})
    assert answer.content == data[::-1]


@pytest.mark.parametrize("handler", ["build", "buffered"])
@pytest.mark.parametrize("path", ["raises", "silent"])
def test_a_failure_before_the_answer_is_a_500_that_says_nothing(start: Start, handler: str, path: str) -> None:
    front = start(handler, buffered=handler == "buffered")
    answer = httpx.get(f"{front.url}/{path}")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "app_failed"
    assert "planted-secret" not in answer.text + front.log()
    assert httpx.get(f"{front.url}/echo").status_code == 200


@pytest.mark.parametrize("path", ["breaks", "forgets"])
def test_a_failure_within_the_answer_cuts_it_and_tells_lambda_in_trailers(start: Start, path: str) -> None:
    front = start()
    received = b""
    with pytest.raises(httpx.RemoteProtocolError), httpx.stream("GET", f"{front.url}/{path}") as answer:
        for piece in answer.iter_bytes():
            received += piece
    assert received.startswith(b"one\n")
    sent = front.answers[0]
    error = sent.trailer_error
    assert error is not None
    assert error["errorType"] == sent.trailers["lambda-runtime-function-error-type"]
    assert error["errorType"] == ("ValueError" if path == "breaks" else "AnswerIncomplete")
    assert "planted-secret" not in str(error) + front.log()
    assert httpx.get(f"{front.url}/echo").status_code == 200


def test_a_failure_within_a_buffered_answer_is_still_a_500(start: Start) -> None:
    front = start("buffered", buffered=True)
    answer = httpx.get(f"{front.url}/breaks")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "app_failed")


@pytest.mark.parametrize("handler", ["build", "buffered"])
def test_the_deadline_before_the_answer_is_a_504(start: Start, handler: str) -> None:
    front = start(handler, seconds=1.5, buffered=handler == "buffered")
    answer = httpx.get(f"{front.url}/hangs", timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline")
    # Lambda did not have to kill: the same process answers again.
    assert httpx.get(f"{front.url}/echo").status_code == 200
    assert len(front.environments) == 1


def test_the_deadline_within_the_answer_cuts_it_before_lambda_does(start: Start) -> None:
    front = start(seconds=1.5)
    with pytest.raises(httpx.RemoteProtocolError), httpx.stream("GET", f"{front.url}/hangs-within") as answer:
        assert b"".join(answer.iter_bytes()) == b"one\n"
    error = front.answers[0].trailer_error
    assert error is not None
    assert error["errorType"] == "DeadlineReached"
    assert httpx.get(f"{front.url}/echo").status_code == 200
    assert len(front.environments) == 1


@pytest.mark.parametrize("path", ["background", "spawns"])
def test_work_after_the_answer_is_finished_before_the_next_request(start: Start, path: str) -> None:
    front = start()
    assert httpx.get(f"{front.url}/{path}").text == "ok"
    assert httpx.get(f"{front.url}/echo").json()["late"] == ["after the answer" if path == "background" else "spawned"]


def test_work_that_does_not_end_is_waited_for_within_bounds_and_told(start: Start) -> None:
    front = start()
    assert httpx.get(f"{front.url}/never-settles").text == "ok"
    assert httpx.get(f"{front.url}/echo", timeout=30).status_code == 200
    assert any("still running after the answer" in line["message"] for line in lines_of(front))


def test_a_failure_after_the_answer_is_logged(start: Start) -> None:
    front = start()
    assert httpx.get(f"{front.url}/fails-late").text == "ok"
    assert httpx.get(f"{front.url}/echo").status_code == 200
    (line,) = [line for line in lines_of(front) if line["level"] == "ERROR"]
    assert (line["message"], line["errorType"]) == ("work after an answer failed: ValueError", "ValueError")


def test_a_slow_reader_slows_the_app_down(start: Start) -> None:
    front = start()
    size = 100_000_000
    with socket.create_connection(("127.0.0.1", int(front.url.rpartition(":")[2]))) as connection:
        connection.sendall(f"GET /large?size={size} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        connection.recv(1000)
        sent = front.answers[0]
        seen, stalled_since = -1, time.monotonic()
        while time.monotonic() - stalled_since < 0.5:
            if len(sent.times) != seen:
                seen, stalled_since = len(sent.times), time.monotonic()
            threading.Event().wait(0.05)
        assert not sent.complete
        # The app's memory holds a block or two; the rest of the hundred megabytes has not been made.
        rss = int(Path(f"/proc/{front.environments[0].pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert rss < 80_000_000
        total = 0
        while data := connection.recv(1 << 20):
            total += len(data)
    assert total > size
    assert sent.complete


def test_the_answer_in_one_piece_ends_at_lambdas_limit_with_an_error(start: Start) -> None:
    front = start("buffered", buffered=True)
    assert len(httpx.get(f"{front.url}/large?size=5000000").content) == 5_000_000
    answer = httpx.get(f"{front.url}/large?size=7000000")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "answer_too_large")
    # The JSON around it counts: base64, or escapes, as much as the text.
    answer = httpx.get(f"{front.url}/large?size=6291456")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "answer_too_large")


def test_a_load_balancer_gets_its_answer_in_one_piece(start: Start) -> None:
    front = start(event=events.alb, buffered=True)
    assert httpx.get(f"{front.url}/stream?count=3").text == "0\n1\n2\n"
    assert not front.answers[0].streamed


@pytest.mark.parametrize(
    "event", [{"key1": "value1"}, [], "text", {"requestContext": {}}, {"requestContext": None, "version": "2.0"}]
)
def test_an_event_that_is_no_request_is_an_invocation_error_that_says_what_is_served(start: Start, event: Any) -> None:
    front = start(event=lambda head, body: event)
    assert httpx.get(front.url).status_code == 502
    error = front.answers[0].error
    assert error is not None
    assert error["errorType"] == "UnsupportedEvent"
    assert "API Gateway" in error["errorMessage"]
    assert httpx.get(front.url).status_code == 502
    assert len(front.environments) == 1


def test_a_body_that_is_no_base64_is_a_400(start: Start) -> None:
    front = start(event=lambda head, body: {**events.v1(head, body), "body": "abcde", "isBase64Encoded": True})
    answer = httpx.post(f"{front.url}/echo", content=b"x")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_event")


def test_a_process_that_dies_is_a_502_and_the_next_request_gets_a_new_one(start: Start) -> None:
    front = start()
    assert httpx.get(f"{front.url}/exits").status_code == 502
    assert httpx.get(f"{front.url}/echo").status_code == 200
    assert len(front.environments) == 2


def test_frozen_between_invocations_it_goes_on(start: Start) -> None:
    front = start(freeze=True)
    pids = set()
    for _ in range(3):
        pids.add(httpx.get(f"{front.url}/echo").json()["pid"])
        front.call(front.settled())
    assert len(pids) == 1


def test_sigterm_runs_the_lifespans_shutdown(start: Start) -> None:
    front = start()
    environment = front.call(front.ready())
    assert front.call(environment.terminate()) == 0
    assert "lifespan: shutdown" in front.log()


@pytest.mark.parametrize(
    ("handler", "environment", "said"),
    [
        ("no.such.module", {}, "No module named 'no'"),
        ("nomodule", {}, None),
        ("apps.missing", {}, "has no ASGI app or factory 'missing'"),
        ("apps.nothing", {}, "has no ASGI app or factory 'nothing'"),
        ("exits", {}, "the factory gave up"),
        ("build", {"STARTUP": "refused"}, "the database is away"),
        ("build", {"STARTUP": "raises"}, "a broken start"),
        ("build", {"STARTUP": "exits"}, "SystemExit"),
        ("returns_nothing", {}, "returned NoneType, which is no ASGI app"),
    ],
)
def test_an_init_that_fails_is_reported(
    start: Start, handler: str, environment: dict[str, str], said: str | None
) -> None:
    front = start(handler, environment=environment)
    started = front.call(front.ready())
    front.call(started.exited.wait())
    assert started.exit_code == 1
    assert started.init_error is not None
    assert started.init_error["errorType"].startswith("Runtime.")
    if said:
        assert said in started.init_error["errorMessage"]
        assert said in front.log()


def test_a_handler_may_be_an_app_or_a_factory_and_may_have_no_lifespan(start: Start) -> None:
    assert httpx.get(f"{start('app').url}/echo").status_code == 200
    assert httpx.get(start("without_lifespan").url).text == "ok"


def test_log_lines_are_lambdas_json(start: Start) -> None:
    front = start()
    httpx.get(f"{front.url}/logs")
    warning, failure = lines_of(front)
    assert (warning["level"], warning["message"], warning["logger"], warning["field"]) == (
        "WARNING",
        "a warning",
        "app",
        7,
    )
    assert warning["requestId"] == front.answers[0].request_id
    assert warning["timestamp"].endswith("Z")
    assert (failure["errorType"], failure["errorMessage"]) == ("ValueError", "told")
    assert "do_logs" in failure["stackTrace"][0]
    assert "do_logs" in failure["location"]


def test_log_lines_are_lambdas_text_where_it_is_asked_for(start: Start) -> None:
    front = start(log_json=False)
    httpx.get(f"{front.url}/logs")
    level, when, request_id, message = front.log().splitlines()[0].split("\t")
    assert (level, request_id, message) == ("[WARNING]", front.answers[0].request_id, "a warning")
    assert when.endswith("Z")


@pytest.mark.parametrize("milliseconds", ["-1", "99999999999999"])
def test_a_clock_that_jumped_does_not_end_a_request(start: Start, milliseconds: str) -> None:
    at = "0" if milliseconds == "-1" else milliseconds
    front = start(next_headers={"lambda-runtime-deadline-ms": at})
    shown = httpx.get(f"{front.url}/echo").json()
    assert 0 < shown["seconds_left"] <= 900


@pytest.mark.parametrize(
    ("hook", "exit_code", "kind"),
    [("", None, None), ("before", 64, "Runtime.BeforeSnapshotError"), ("after", 65, "Runtime.AfterRestoreError")],
)
def test_snapstart_runs_the_hooks_around_the_snapshot(
    start: Start, hook: str, exit_code: int | None, kind: str | None
) -> None:
    front = start("hooked", snap_start=True, environment={"HOOK": hook})
    from tests.front.environment import Environment

    environment = Environment(front.launch)
    front.environments.append(environment)
    front.call(environment.start())
    if hook != "before":
        front.call(environment.restore_asked.wait())
        assert "hook: before" in front.log()
        assert "hook: after" not in front.log()
        environment.restore()
    assert front.call(environment.ready()) is (not hook)
    if hook:
        front.call(environment.exited.wait())
        reported = environment.init_error if hook == "before" else environment.restore_error
        assert reported is not None
        assert (environment.exit_code, reported["errorType"]) == (exit_code, kind)
    else:
        assert "hook: after" in front.log()


def test_outside_lambda_it_says_what_it_is(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lambda_runtime"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=clean_environment(tmp_path),
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert "AWS_LAMBDA_RUNTIME_API is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_runtime_api_the_process_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lambda_runtime"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=clean_environment(tmp_path, AWS_LAMBDA_RUNTIME_API="127.0.0.1:9", _HANDLER="tests.front.apps.build"),
        check=False,
        timeout=30,
    )
    assert done.returncode == 1
    assert "no connection to the Runtime API" in done.stdout


def test_a_deep_failure_within_an_answer_keeps_its_trailers_short(start: Start) -> None:
    """Above about 4 KB of trailers AWS's server gives up on the environment; the front does likewise."""
    front = start()
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{front.url}/breaks-deep")
    error = front.answers[0].trailer_error
    assert error is not None
    assert "deeper" in error["stackTrace"][-1]
    assert sum(map(len, front.answers[0].trailers.values())) < 3500
    assert httpx.get(f"{front.url}/echo").status_code == 200
    assert len(front.environments) == 1


def test_tasks_that_send_side_by_side_make_one_answer(start: Start) -> None:
    front = start()
    content = httpx.get(f"{front.url}/side-by-side").content
    assert sorted(set(content)) == sorted(b"abc")
    assert len(content) == 300_000
    assert len(front.answers) == 1


def test_an_answer_that_lambda_refuses_is_given_up_and_the_app_is_told(start: Start) -> None:
    front = start(refuse_after=3)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(f"{front.url}/listens", timeout=30)
    front.call(front.settled())
    assert "told: http.disconnect" in front.log()
    assert len(front.environments) == 1


def test_a_reader_that_stands_still_does_not_cost_the_environment(start: Start) -> None:
    front = start(seconds=2.0)
    with socket.create_connection(("127.0.0.1", int(front.url.rpartition(":")[2]))) as connection:
        connection.sendall(b"GET /large?size=100000000 HTTP/1.1\r\nhost: x\r\n\r\n")
        connection.recv(1000)
        front.call(front.settled())
        assert httpx.get(f"{front.url}/echo").status_code == 200
    assert len(front.environments) == 1


@pytest.mark.parametrize("path", ["sys-exit", "sys-exit-within"])
def test_an_app_that_exits_ends_its_answer_and_not_the_environment(start: Start, path: str) -> None:
    front = start()
    if path == "sys-exit":
        assert httpx.get(f"{front.url}/{path}").status_code == 500
    else:
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"{front.url}/{path}")
    assert httpx.get(f"{front.url}/echo").status_code == 200
    assert len(front.environments) == 1


def test_callbacks_that_fail_leave_a_plain_500(start: Start) -> None:
    front = start("unspeakable")
    answer = httpx.get(f"{front.url}/raises")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "app_failed")
    assert "planted-secret" not in front.log()


def test_a_body_that_is_no_text_is_a_400(start: Start) -> None:
    front = start(event=lambda head, body: {**events.v1(head, body), "body": {"a": 1}})
    assert httpx.get(f"{front.url}/echo").status_code == 400
    assert len(front.environments) == 1


def test_odd_log_records_are_still_one_json_line(start: Start) -> None:
    front = start()
    assert httpx.get(f"{front.url}/odd-logs").text == "ok"
    (line,) = lines_of(front)
    assert (line["level"], line["message"]) == ("WARNING", "odd")
