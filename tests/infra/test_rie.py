"""Conformance with AWS's own Runtime API: the Runtime Interface Emulator out of the SAM CLI's wheel, without Docker.

It cannot show streaming, trailers or the restore calls (the answer arrives whole, trailers are dropped); it does check
every header, the chunking and the order of calls, and knows the limits.
"""

import json
import platform
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra_sam.build import ROOT
from tests.deployed import artifact, system_python
from tests.front import events
from tests.front.environment import wrapper_command
from tests.front.http1 import Head
from tests.infra.stack import SAM_BIN
from tests.served import clean_environment

DELIMITER = b"\0" * 8
Invoke = Callable[[str], bytes]


def emulator() -> str:
    machine = "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"
    (found,) = SAM_BIN.parent.glob(f"lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{machine}")
    found.chmod(0o755)
    return str(found)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def emulated(folder: Path, handler: str, **environment: str) -> Iterator[str]:
    """The emulator with the artifact's runtime behind it; yields the address to post events to."""
    ports = free_port(), free_port()
    tree = artifact()
    command = [emulator(), "--runtime-interface-emulator-address", f"127.0.0.1:{ports[0]}"]
    command += ["--runtime-api-address", f"127.0.0.1:{ports[1]}", *wrapper_command(tree, system_python())[:2], handler]
    variables = clean_environment(
        folder,
        LAMBDA_TASK_ROOT=str(tree),
        PYTHONPATH=str(ROOT / "tests" / "front"),
        AWS_LAMBDA_LOG_FORMAT="JSON",
        **{"AWS_LAMBDA_FUNCTION_TIMEOUT": "10", **environment},
    )
    with (folder / "rie.log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, cwd=tree)
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", ports[0])).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None, (folder / "rie.log").read_text()
                assert time.monotonic() < deadline
        yield f"http://127.0.0.1:{ports[0]}/2015-03-31/functions/function/invocations"
    finally:
        process.terminate()
        process.wait(10)


def event_of(target: str, method: str = "GET", body: bytes = b"") -> bytes:
    return json.dumps(events.v1(Head(method, target, [("host", "x")]), body)).encode()


@pytest.fixture
def invoke(tmp_path: Path) -> Iterator[Invoke]:
    """Invokes the test app with a GET of that path."""
    with ExitStack() as stack:
        url = stack.enter_context(emulated(tmp_path, "apps.build"))
        yield lambda target: httpx.post(url, content=event_of(target), timeout=60).content


def parts_of(answer: bytes) -> tuple[dict[str, Any], bytes]:
    prelude, delimiter, body = answer.partition(DELIMITER)
    assert delimiter, answer
    document: dict[str, Any] = json.loads(prelude)
    return document, body


def test_answers_pass_with_prelude_delimiter_and_body(invoke: Invoke) -> None:
    for _ in range(2):
        prelude, body = parts_of(invoke("/stream?count=200"))
        assert prelude == {"statusCode": 200, "headers": {"content-type": "text/plain"}}
        assert body == b"".join(b"%d\n" % number for number in range(200))
    prelude, body = parts_of(invoke("/status?status=202"))
    assert (prelude["statusCode"], body) == (202, b"")
    prelude, body = parts_of(invoke("/headers"))
    assert prelude["multiValueHeaders"] == {"set-cookie": ["a=1", "b=2"]}
    shown = json.loads(parts_of(invoke("/echo"))[1])
    assert 5 < shown["seconds_left"] <= 10


def test_a_failure_before_and_within_an_answer_leaves_the_environment_usable(invoke: Invoke) -> None:
    prelude, body = parts_of(invoke("/raises"))
    assert (prelude["statusCode"], json.loads(body)["error"]["code"]) == (500, "app_failed")
    assert parts_of(invoke("/breaks"))[1] == b"one\ntwo\n"
    assert json.loads(parts_of(invoke("/echo"))[1])["path"] == "/echo"


def test_an_answer_above_lambdas_limit_is_refused_and_the_next_one_passes(invoke: Invoke) -> None:
    refused = invoke("/large?size=7000000")
    assert b"ResponseSizeTooLarge" in refused
    assert json.loads(parts_of(invoke("/echo"))[1])["path"] == "/echo"


def test_the_deadline_cuts_an_answer_and_the_next_one_passes(tmp_path: Path) -> None:
    with emulated(tmp_path, "apps.build", AWS_LAMBDA_FUNCTION_TIMEOUT="2") as url:
        answer = httpx.post(url, content=event_of("/hangs-within"), timeout=60).content
        assert parts_of(answer)[1] == b"one\n"
        answer = httpx.post(url, content=event_of("/hangs"), timeout=60).content
        assert parts_of(answer)[0]["statusCode"] == 504
        assert parts_of(httpx.post(url, content=event_of("/echo"), timeout=60).content)[0]["statusCode"] == 200


def test_an_event_that_is_no_request_is_an_invocation_error(tmp_path: Path) -> None:
    with emulated(tmp_path, "apps.build") as url:
        answer = httpx.post(url, json={"key1": "value1"}, timeout=60).json()
        assert answer["errorType"] == "UnsupportedEvent"
        assert parts_of(httpx.post(url, content=event_of("/echo"), timeout=60).content)[0]["statusCode"] == 200


def test_buffered_answers_are_lambdas_json(tmp_path: Path) -> None:
    with emulated(tmp_path, "apps.buffered") as url:
        answer = httpx.post(url, content=event_of("/stream?count=3"), timeout=60).json()
    assert (answer["statusCode"], answer["body"]) == (200, "0\n1\n2\n")


def test_an_init_that_fails_is_told(tmp_path: Path) -> None:
    with emulated(tmp_path, "apps.build", STARTUP="refused") as url:
        answer = httpx.post(url, content=event_of("/echo"), timeout=60).json()
    assert answer["errorMessage"] == "the database is away"


def test_the_product_answers(tmp_path: Path) -> None:
    pool = {"ZEROGATE_COGNITO_USER_POOL_ID": "us-east-1_x", "AWS_REGION": "us-east-1"}
    with emulated(tmp_path, "bootstrap.lambda_entry.gateway", **pool) as url:
        prelude, body = parts_of(httpx.post(url, content=event_of("/healthz"), timeout=60).content)
        assert (prelude["statusCode"], json.loads(body)["status"]) == (200, "ok")
        prelude, body = parts_of(httpx.post(url, content=event_of("/v1/models"), timeout=60).content)
        assert (prelude["statusCode"], json.loads(body)["error"]["code"]) == (401, "invalid_api_key")
