"""The product as `make serve` starts it, in a process of its own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import yaml

BIN = Path(sys.executable).parent
START_SECONDS = 60
# Provider parameters that point each wire at the loopback upstream. The keys are planted: no log may show them.
PROVIDER_KEY = "planted-provider-key-0001"


def clean_environment(home: Path, **more: str) -> dict[str, str]:
    """What a new user's shell has: no credentials, no proxies, an empty home."""
    path = os.environ["PATH"]  # noqa: TID251  tests start processes
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", **more}


def models_file(upstream_url: str) -> dict[str, Any]:
    """A catalog with one name per wire, plus slow and plain variants."""
    v1 = f"{upstream_url}/v1"
    bedrock = {
        "model": "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0",
        "aws_bedrock_runtime_endpoint": upstream_url,
        "aws_access_key_id": "AKIAPLANTED000000001",
        "aws_secret_access_key": PROVIDER_KEY,
        "aws_region_name": "us-east-1",
    }
    by_name: dict[str, dict[str, Any]] = {
        "demo/echo": {"model": "demo/echo"},
        "demo/slow": {"model": "demo/echo", "delay": 0.05},
        "openai": {"model": "openai/gpt-4o", "api_base": v1, "api_key": "os.environ/PLANTED_KEY"},
        "azure": {
            "model": "azure/gpt-4o",
            "api_base": upstream_url,
            "api_key": PROVIDER_KEY,
            "api_version": "2024-10-21",
        },
        "anthropic": {"model": "anthropic/claude-sonnet-4-5", "api_base": upstream_url, "api_key": PROVIDER_KEY},
        "bedrock": bedrock,
        "compatible": {"model": "hosted_vllm/some-model", "api_base": v1, "api_key": PROVIDER_KEY},
        "openai/*": {"model": "openai/*", "api_base": v1, "api_key": PROVIDER_KEY},
    }
    entries: list[dict[str, Any]] = [{"model_name": name, "litellm_params": p} for name, p in by_name.items()]
    entries += [
        {"model_name": f"plain-{name}", "litellm_params": by_name[name], "upstream": "plain"}
        for name in ("openai", "azure", "anthropic", "bedrock", "compatible")
    ]
    refused = {**by_name["openai"], "api_base": "http://127.0.0.1:9/v1"}
    entries.append({"model_name": "falls-back", "litellm_params": refused})
    entries.append({"model_name": "spread", "litellm_params": {**by_name["openai"], "model": "openai/first"}})
    entries.append({"model_name": "spread", "litellm_params": {**by_name["openai"], "model": "openai/second"}})
    return {"model_list": entries, "fallbacks": [{"falls-back": ["anthropic"]}], "aliases": {"gpt-alias": "openai"}}


@dataclass(frozen=True, kw_only=True)
class Served:
    """A running server."""

    base_url: str
    mcp_url: str
    admin_url: str
    api_key: str
    admin_key: str
    process: subprocess.Popen[bytes]
    log: Path
    # The clients that tests made, closed with the server: a connection that is left open would be told as a warning.
    resources: ExitStack

    @property
    def root(self) -> str:
        return self.base_url.removesuffix("/v1")

    def client(self, **more: Any) -> openai.OpenAI:
        """The official client, without retries of its own."""
        settings: dict[str, Any] = {"base_url": self.base_url, "api_key": self.api_key, "max_retries": 0, **more}
        return self.resources.enter_context(openai.OpenAI(**settings))

    def async_client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=self.base_url, api_key=self.api_key, max_retries=0)

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.api_key}"}

    def post(self, body: Any, path: str = "/v1/chat/completions", **more: Any) -> httpx.Response:
        return httpx.post(f"{self.root}{path}", json=body, headers=self.headers, timeout=30, **more)

    def usage_lines(self) -> list[dict[str, Any]]:
        # Without a last line that is still being written.
        whole = self.log.read_text().rpartition("\n")[0]
        lines = [line for line in whole.splitlines() if line.startswith("{")]
        return [json.loads(line) for line in lines]

    def usage_of(self, request_id: str) -> dict[str, Any]:
        """The one line of a request. An answer is whole only after its line is written, so there is no waiting."""
        found = [line for line in self.usage_lines() if line.get("request_id") == request_id]
        assert len(found) == 1, f"{len(found)} usage lines for {request_id}"
        return found[0]

    def awaited_usage(self, *, count: int) -> dict[str, Any]:
        """The newest line once there are `count` of them: for clients that left, which nobody tells."""
        deadline = time.monotonic() + 10
        while len(lines := self.usage_lines()) < count and time.monotonic() < deadline:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)
        assert len(lines) == count
        return lines[-1]


@contextmanager
def serving(
    folder: Path, models: Mapping[str, Any] | None = None, arguments: tuple[str, ...] = (), **environment: str
) -> Iterator[Served]:
    """Start `zerogate serve` and wait for its ready file."""
    ready, log = folder / "ready.json", folder / "log.txt"
    ready.unlink(missing_ok=True)
    command = [str(BIN / "zerogate"), "serve", "--port", "0", "--ready-file", str(ready), *arguments]
    if "--data-dir" not in arguments:
        command += ["--data-dir", str(folder / "data")]
    if models is not None:
        (folder / "models.yaml").write_text(yaml.safe_dump(dict(models)))
        command += ["--models", str(folder / "models.yaml")]
    with log.open("wb") as errors, (folder / "page.txt").open("wb") as page:
        process = subprocess.Popen(
            command, stdout=page, stderr=errors, env=clean_environment(folder, PLANTED_KEY=PROVIDER_KEY, **environment)
        )
    try:
        with ExitStack() as resources:
            yield Served(**_awaited(ready, process, log), process=process, log=log, resources=resources)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def sent(server: Served, path: str, body: Any, headers: dict[str, str]) -> Iterator[None]:
    """A connection on which a request was sent and whose answer nobody reads; closed at the end of the block."""
    host, port = server.root.removeprefix("http://").split(":")
    content = json.dumps(body).encode()
    headers = {"host": host, "content-type": "application/json", "content-length": str(len(content)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + content)
        yield


def _awaited(ready: Path, process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, "the server did not get ready"
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    content: dict[str, str] = json.loads(ready.read_text())
    return content
