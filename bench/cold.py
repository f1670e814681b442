"""Cold starts of the built artifact under the local front: from the start of the process to what a caller sees.

Seconds of wall time and medians of interleaved runs, on the target's own interpreter, with a Cognito and a provider
on loopback. Beside it: a bare interpreter, a bare Starlette function on the same runtime out of the same artifact,
LiteLLM's own import and first call, and the artifact without byte code.
"""

import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from bench.services import ROOT, service
from infra_sam.archive import size_of
from infra_sam.build import MB, Options, build
from infra_sam.target import DEFAULT_RUNTIME, Target, TargetError
from tests.front import Front, Launch, fronted
from tests.front.environment import wrapper_command

RUNS = 7
SLOW_RUNS = 3
HELLO = [{"role": "user", "content": "hello"}]
MODELS_TARGET, CHAT_TARGET = 3.5, 1.15
Sample = dict[str, float]


def target() -> Target:
    """Lambda's default runtime where its interpreter is at hand, else this one."""
    wanted = Target(runtime=DEFAULT_RUNTIME, arch=Target.here().arch)
    try:
        wanted.interpreter()
    except TargetError:
        return Target.here()
    return wanted


class Bench:
    """One round after the other over the same trees and services."""

    def __init__(self, folder: Path, cognito: Mapping[str, str], upstream: str) -> None:
        self.folder = folder
        self.target = target()
        self.python = self.target.interpreter()
        self.tree = build(Options(target=self.target, tree=ROOT / "build" / "bench"))
        self.sources = build(Options(target=self.target, tree=ROOT / "build" / "bench-sources", source_only=True))
        self.key = cognito["key"]
        bedrock = {
            "model": "bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0",
            "aws_bedrock_runtime_endpoint": upstream,
            "aws_access_key_id": "AKIABENCH",
            "aws_secret_access_key": "bench",
            "aws_region_name": "us-east-1",
        }
        self.calls = {
            "openai": {"model": "openai/gpt-4o", "api_base": f"{upstream}/v1", "api_key": "bench"},
            "bedrock": bedrock,
        }
        entries = [{"model_name": name, "litellm_params": params} for name, params in self.calls.items()]
        entries.append({"model_name": "demo", "litellm_params": {"model": "demo/echo"}})
        (folder / "models.yaml").write_text(yaml.safe_dump({"model_list": entries}))
        self.environment = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "ZEROGATE_MODELS_FILE": str(folder / "models.yaml"),
            "ZEROGATE_COGNITO_USER_POOL_ID": cognito["pool_id"],
            "ZEROGATE_COGNITO_ENDPOINT_URL": cognito["endpoint_url"],
        }

    def rows(self) -> Mapping[str, Callable[[], Sample]]:
        """What is measured in each round."""
        return {
            "python -c pass": lambda: {"total": wall([self.python, "-c", "pass"])},
            "bare Starlette": lambda: self.request("GET", "/v1/models", handler="bare.app"),
            "models": lambda: self.request("GET", "/v1/models"),
            "chat, demo model": lambda: self.chat("demo"),
            "chat, openai": lambda: self.chat("openai"),
            "chat, bedrock": lambda: self.chat("bedrock"),
            "litellm alone, openai": lambda: {"total": self.reference("openai")},
            "litellm alone, bedrock": lambda: {"total": self.reference("bedrock")},
        }

    def slow_rows(self) -> Mapping[str, Callable[[], Sample]]:
        """The same without byte code; fewer rounds are enough to see it."""
        return {
            "models, no byte code": lambda: self.request("GET", "/v1/models", tree=self.sources),
            "chat, openai, no byte code": lambda: self.chat("openai", tree=self.sources),
        }

    def chat(self, model: str, tree: Path | None = None) -> Sample:
        """To the first byte of a streamed answer."""
        body = json.dumps({"model": model, "messages": HELLO, "stream": True}).encode()
        return self.request("POST", "/v1/chat/completions", body, tree=tree)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        tree: Path | None = None,
        handler: str = "bootstrap.lambda_entry.gateway",
    ) -> Sample:
        """Start an environment with a request that is waiting for it."""
        # The folder of a zip function is read-only: what is compiled at a cold start is compiled again at the next.
        more = {"PYTHONDONTWRITEBYTECODE": "1"} if tree == self.sources else {}
        tree = tree or self.tree
        environment = {**self.environment, "PYTHONPATH": str(ROOT / "bench" / "apps")}
        launch = Launch(
            command=wrapper_command(tree, self.python),
            tree=tree,
            handler=handler,
            environment=environment if handler == "bare.app" else {**self.environment, **more},
            log=self.folder / "function.log",
        )
        with fronted(launch) as front:
            first_byte = self._ask(front, method, path, body)
            environment_ = front.environments[0]
            status = Path(f"/proc/{environment_.pid}/status").read_text()
            peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
            return {
                "ready": environment_.init_seconds,
                "total": first_byte - environment_.started_at,
                "peak_mib": peak / 1024,
            }

    def _ask(self, front: Front, method: str, path: str, body: bytes | None) -> float:
        connection = http.client.HTTPConnection(front.url.removeprefix("http://"), timeout=120)
        connection.request(method, path, body, {"authorization": f"Bearer {self.key}"})
        answer = connection.getresponse()
        answer.read(1)
        at = time.monotonic()
        rest = answer.read()
        if answer.status != http.client.OK:
            message = f"{path}: {answer.status} {rest[:500]!r}\n{front.log()}"
            raise RuntimeError(message)
        connection.close()
        return at

    def reference(self, model: str) -> float:
        """LiteLLM alone, out of the same tree."""
        call = json.dumps({**self.calls[model], "messages": HELLO})
        program = str(ROOT / "bench" / "apps" / "reference.py")
        return wall([self.python, program, str(self.tree), call], env=self.environment)


def wall(command: list[str], env: Mapping[str, str] | None = None) -> float:
    """Seconds that a program takes."""
    environment = dict(env or {"PATH": os.defpath})
    began = time.monotonic()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def measure(runs: int = RUNS) -> dict[str, Any]:
    """All rows: {"samples", "medians", "ratios", ...}."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        cognito = stack.enter_context(service("cognito"))
        upstream = stack.enter_context(service("upstream"))
        bench = Bench(folder, cognito, upstream["url"])
        samples: dict[str, list[Sample]] = {}
        for number in range(-1, runs):
            rows = dict(bench.rows())
            if number < min(SLOW_RUNS, runs):
                rows |= bench.slow_rows()
            for name, row in rows.items():
                sample = row()
                # The round before the first warms the disk cache.
                if number >= 0:
                    samples.setdefault(name, []).append(sample)
            print(f"\rcold starts: round {number + 1} of {runs}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        sizes = {"tree_mb": size_of(bench.tree) / MB, "with_sources_only_mb": size_of(bench.sources) / MB}
    medians = {
        name: {part: statistics.median(sample[part] for sample in row) for part in row[0]}
        for name, row in samples.items()
    }
    total = {name: row["total"] for name, row in medians.items()}
    ratios = {
        "models / bare Starlette": (total["models"] / total["bare Starlette"], MODELS_TARGET),
        "chat openai / litellm alone": (total["chat, openai"] / total["litellm alone, openai"], CHAT_TARGET),
        "chat bedrock / litellm alone": (total["chat, bedrock"] / total["litellm alone, bedrock"], CHAT_TARGET),
    }
    return {
        "runtime": bench.target.runtime,
        "arch": bench.target.arch.value,
        "runs": runs,
        "sizes": sizes,
        "samples": samples,
        "medians": medians,
        "ratios": ratios,
    }


def show(result: Mapping[str, Any]) -> None:
    """As a table."""
    print(f"\nCold start, {result['runtime']} on {result['arch']}, medians of {result['runs']} interleaved runs")
    print(f"artifact: {result['sizes']['tree_mb']:.1f} MB")
    print(f"{'':<30}{'ready':>9}{'answer':>9}{'peak RSS':>11}")
    for name, row in result["medians"].items():
        ready = f"{row['ready']:7.3f} s" if "ready" in row else ""
        peak = f"{row['peak_mib']:6.0f} MiB" if "peak_mib" in row else ""
        print(f"{name:<30}{ready:>9}{row['total']:7.3f} s{peak:>11}")
