"""What streaming through lambda_runtime and the local front costs, beside the same app under uvicorn, interleaved.

The client, the front and each server are processes of their own. First chunk: p50 over requests for one chunk. Per
chunk: a stream of many chunks back to back, divided by their number.
"""

import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.services import ROOT, service
from infra_sam.build import Options, build
from infra_sam.target import Target
from tests.front.environment import wrapper_command

APPS = ROOT / "bench" / "apps"
REQUESTS = 100
CHUNKS = 5000
CHUNK_BYTES = 61
FIRST_TARGET_MS, CHUNK_TARGET_US = 3.0, 40.0


def measure(runs: int = 7) -> dict[str, Any]:
    """{"samples", "medians", "ratios"}; the ratios are to the allowed surplus over uvicorn."""
    first: dict[str, list[float]] = {"uvicorn": [], "lambda": []}
    chunk: dict[str, list[float]] = {"uvicorn": [], "lambda": []}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        addresses = {"uvicorn": stack.enter_context(_uvicorn()), "lambda": stack.enter_context(_lambda(folder))}
        for number in range(-1, runs):
            for name, address in addresses.items():
                firsts = sorted(_timed(address, 1)[0] for _ in range(REQUESTS))
                whole = _timed(address, CHUNKS)[1]
                if number >= 0:
                    first[name].append(statistics.median(firsts))
                    chunk[name].append(whole / CHUNKS)
    medians = {
        "first_chunk_ms": {name: statistics.median(values) * 1e3 for name, values in first.items()},
        "per_chunk_us": {name: statistics.median(values) * 1e6 for name, values in chunk.items()},
    }
    surplus = {part: row["lambda"] - row["uvicorn"] for part, row in medians.items()}
    return {
        "runs": runs,
        "samples": {"first": first, "chunk": chunk},
        "medians": medians,
        "ratios": {
            "first chunk over uvicorn, ms": (surplus["first_chunk_ms"], FIRST_TARGET_MS),
            "per chunk over uvicorn, µs": (surplus["per_chunk_us"], CHUNK_TARGET_US),
        },
    }


def show(result: Mapping[str, Any]) -> None:
    """As a table."""
    print(f"\nStreaming, medians of {result['runs']} interleaved runs")
    for part, row in result["medians"].items():
        print(f"{part:<20} uvicorn {row['uvicorn']:8.2f}   lambda_runtime + front {row['lambda']:8.2f}")


def _timed(address: str, count: int) -> tuple[float, float]:
    """Seconds to the first byte of the body, and to its end."""
    connection = http.client.HTTPConnection(address, timeout=60)
    connection.connect()
    began = time.perf_counter()
    connection.request("GET", f"/?count={count}")
    answer = connection.getresponse()
    size = len(answer.read(1))
    first = time.perf_counter() - began
    while data := answer.read(65536):
        size += len(data)
    whole = time.perf_counter() - began
    connection.close()
    if size != count * CHUNK_BYTES:
        message = f"{address} sent {size} bytes for {count} chunks"
        raise RuntimeError(message)
    return first, whole


@contextmanager
def _uvicorn() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "stream:app", "--port", str(port), "--log-level", "error"]
    with subprocess.Popen([*command, "--lifespan", "off"], cwd=APPS) as process:
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    time.sleep(0.05)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()


@contextmanager
def _lambda(folder: Path) -> Iterator[str]:
    # uvicorn's own interpreter, for the comparison's sake.
    built_for = Target.here()
    tree = build(Options(target=built_for, tree=ROOT / "build" / "bench-here"))
    launch = {
        "command": wrapper_command(tree, built_for.interpreter()),
        "tree": str(tree),
        "handler": "stream.app",
        "environment": {"PATH": os.defpath, "HOME": str(folder), "PYTHONPATH": str(APPS)},
        "log": str(folder / "log.txt"),
    }
    with service("front", json.dumps(launch)) as front:
        yield front["url"].removeprefix("http://")
