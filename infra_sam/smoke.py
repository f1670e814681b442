"""Checks a deployment for exactly what only AWS can confirm: `make smoke URL=https://… KEY=sk-zg_…`.

Each line is one point of docs/deploy.md's list "Not run on AWS yet". Nothing is changed; a few small chats are sent.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

MCP_ACCEPTS = "application/json, text/event-stream"
LAMBDA_LIMIT = 6_300_000
GATEWAY_LIMIT = 10_600_000


class CheckFailed(Exception):
    """The deployment does not do what was expected; the text says what it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoke:
    """One deployment.

    Args:
        root: without /v1.
        model: one that writes a sentence or two.
        words: of the text that the model is asked to repeat, so that its answer takes a while.
    """

    root: str
    key: str
    model: str
    words: int
    http: httpx.Client

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    def checks(self) -> dict[str, Callable[[], str]]:
        """By what they confirm."""
        return {
            "the function starts, and answers without a key": self._health,
            "a missing key is a 401 with the error object and a request id": self._refused,
            "HEAD has no body": self._head,
            "a preflight from a browser is answered": self._preflight,
            "models are listed for the key": self._models,
            "an answer streams: pieces come apart from one another": self._streams,
            "a non-streamed answer comes whole": self._whole,
            "an empty 202 (an MCP notification) arrives as one": self._empty,
            "MCP tools are listed": self._tools,
            "a body above our limit is our 413": lambda: self._too_large(4_400_000, (413,)),
            "a body above Lambda's limit carries the error object": lambda: self._too_large(
                LAMBDA_LIMIT, (413, 502, 500)
            ),
            "a body above API Gateway's limit carries the error object": lambda: self._too_large(GATEWAY_LIMIT, (413,)),
            "/admin asks for an AWS signature, in the error object": self._unsigned,
        }

    def _health(self) -> str:
        began = time.monotonic()
        answer = self.http.get(f"{self.root}/healthz")
        _expect(answer, 200)
        return f"version {answer.json()['version']}, {time.monotonic() - began:.2f} s"

    def _refused(self) -> str:
        answer = self.http.get(f"{self.root}/v1/models")
        _expect(answer, 401)
        _error_of(answer)
        challenge = next((name for name in answer.headers if name.endswith("www-authenticate")), "none")
        return f"challenge in the header {challenge}"

    def _head(self) -> str:
        answer = self.http.head(f"{self.root}/healthz")
        _expect(answer, 200)
        return "empty"

    def _preflight(self) -> str:
        asked = {"origin": "https://example.com", "access-control-request-method": "POST"}
        answer = self.http.options(f"{self.root}/v1/chat/completions", headers=asked)
        _expect(answer, 200)
        return f"origin {answer.headers.get('access-control-allow-origin', 'refused')}"

    def _models(self) -> str:
        answer = self.http.get(f"{self.root}/v1/models", headers=self._headers)
        _expect(answer, 200)
        return f"{len(answer.json()['data'])} models"

    def _streams(self) -> str:
        arrived: list[float] = []
        text = ""
        body = {**self._chat(), "stream": True}
        with self.http.stream("POST", f"{self.root}/v1/chat/completions", json=body, headers=self._headers) as answer:
            if answer.status_code != httpx.codes.OK:
                answer.read()
                _expect(answer, 200)
            for line in answer.iter_lines():
                if line.startswith("data:"):
                    arrived.append(time.monotonic())
                    text = line
        if text != "data: [DONE]":
            raise CheckFailed(f"the stream ended with {text[:80]!r}")
        spread = arrived[-1] - arrived[0]
        moments = len({round(at, 2) for at in arrived})
        if moments < 3:  # noqa: PLR2004  all at once, or nearly
            raise CheckFailed(f"{len(arrived)} pieces came at {moments} moments within {spread:.2f} s: it is buffered")
        return f"{len(arrived)} pieces at {moments} moments over {spread:.2f} s"

    def _whole(self) -> str:
        answer = self.http.post(f"{self.root}/v1/chat/completions", json=self._chat(), headers=self._headers)
        _expect(answer, 200)
        return f"{answer.json()['usage']['total_tokens']} tokens"

    def _empty(self) -> str:
        body = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        answer = self.http.post(f"{self.root}/mcp", json=body, headers={**self._headers, "accept": MCP_ACCEPTS})
        _expect(answer, 202)
        if answer.content.strip():
            raise CheckFailed(f"it has a body: {answer.content[:80]!r}")
        return "empty" if not answer.content else "one byte (ZEROGATE_FILL_EMPTY_BODIES)"

    def _tools(self) -> str:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        answer = self.http.post(f"{self.root}/mcp", json=body, headers={**self._headers, "accept": MCP_ACCEPTS})
        _expect(answer, 200)
        if '"chat"' not in answer.text:
            raise CheckFailed(f"no tool chat in {answer.text[:200]!r}")
        return "chat is there"

    def _too_large(self, size: int, statuses: tuple[int, ...]) -> str:
        body = json.dumps({"model": self.model, "messages": [{"role": "user", "content": "x" * size}]})
        headers = {**self._headers, "content-type": "application/json"}
        answer = self.http.post(f"{self.root}/v1/chat/completions", content=body, headers=headers)
        _expect(answer, *statuses)
        return f"{answer.status_code} {_error_of(answer)}"

    def _unsigned(self) -> str:
        answer = self.http.post(f"{self.root}/admin/v1/keys", json={})
        _expect(answer, 401, 403, 404)
        return f"{answer.status_code} {_error_of(answer)}"

    def _chat(self) -> dict[str, Any]:
        words = " ".join(f"word{number}" for number in range(self.words))
        return {"model": self.model, "messages": [{"role": "user", "content": f"Repeat exactly: {words}"}]}


def _expect(answer: httpx.Response, *statuses: int) -> None:
    if answer.status_code not in statuses:
        raise CheckFailed(f"status {answer.status_code} in place of {statuses[0]}: {answer.text[:200]!r}")


def _error_of(answer: httpx.Response) -> str:
    """The code in the error object, which every refusal must have."""
    try:
        code = answer.json()["error"]["code"]
    except (ValueError, KeyError, TypeError):
        raise CheckFailed(f"no error object in the {answer.status_code}: {answer.text[:200]!r}") from None
    if "x-request-id" not in answer.headers:
        raise CheckFailed("no x-request-id")
    return str(code)


def main() -> int:
    """Returns the number of checks that failed."""
    parser = argparse.ArgumentParser(
        prog="make smoke", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", help="the output BaseUrl of the stack, or the same without /v1")
    parser.add_argument("--model", help="the model to ask (default: the first one that the key may use)")
    parser.add_argument("--words", type=int, default=60, help="how long the answers are to be (default 60 words)")
    arguments = parser.parse_args()
    # In the environment, and not in the arguments: those are seen by everybody on the machine.
    key = os.environ.get("ZEROGATE_SMOKE_KEY", "")
    if not arguments.url or not key:
        parser.error("URL and KEY are needed: make smoke URL=https://... KEY=sk-zg_...")
    root = arguments.url.rstrip("/").removesuffix("/v1")
    failed = 0
    with httpx.Client(timeout=120) as http:
        try:
            model = arguments.model or _first_model(http, root, key)
        except (CheckFailed, httpx.HTTPError) as error:
            print(f"FAILED  no model to ask: {error}")
            return 1
        smoke = Smoke(root=root, key=key, model=model, words=arguments.words, http=http)
        for name, check in smoke.checks().items():
            try:
                print(f"ok      {name}: {check()}")
            except (CheckFailed, httpx.HTTPError, ValueError, KeyError) as error:
                failed += 1
                print(f"FAILED  {name}: {type(error).__name__}: {error}")
    print(f"\n{failed} of {len(smoke.checks())} checks failed" if failed else "\nall as it should be")
    return failed


def _first_model(http: httpx.Client, root: str, key: str) -> str:
    answer = http.get(f"{root}/v1/models", headers={"authorization": f"Bearer {key}"})
    _expect(answer, 200)
    models = answer.json()["data"]
    if not models:
        raise CheckFailed("the key may use none")
    return str(models[0]["id"])


if __name__ == "__main__":
    sys.exit(main())
