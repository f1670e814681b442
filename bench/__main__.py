"""What it costs to build the application, beside `import litellm`: CPU seconds, medians of interleaved runs.

make bench                      # prints a table, writes bench/results/startup.json
make bench ARGS='--runs 15'
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "startup.json"
TARGET = 0.35

BUILD = """
from bootstrap.app import build_app
from bootstrap.settings import read_settings
class Records:
    async def read(self, username): ...
build_app(read_settings(), records=Records())
"""
ROWS: Mapping[str, str] = {
    "python -c pass": "pass",
    "build the application": BUILD,
    "import mcp.server": "import mcp.server.mcpserver",
    # `providers` sets what LiteLLM reads at its import; without it, the import fetches a file from the network.
    "import litellm": "import providers, litellm",
}


def main() -> int:
    """Measure, print, keep. Returns 1 when the target is missed."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--runs", type=int, default=7, help="runs of each row (default 7)")
    runs: int = arguments.parse_args().runs
    samples: dict[str, list[float]] = {name: [] for name in ROWS}
    for program in ROWS.values():
        cpu_seconds(program)  # writes byte code, warms the disk cache
    for _ in range(runs):
        for name, program in ROWS.items():
            samples[name].append(cpu_seconds(program))
    medians = {name: statistics.median(values) for name, values in samples.items()}
    base = medians["import litellm"]
    print(f"CPU seconds, median of {runs} interleaved runs, Python {sys.version.split()[0]}\n")
    for name, median in medians.items():
        print(f"{name:<24} {median:7.3f} s   {median / base:6.2f} x import litellm")
    ratio = medians["build the application"] / base
    met = ratio <= TARGET
    print(f"\nbuild the application / import litellm = {ratio:.2f} (target <= {TARGET}): {'met' if met else 'MISSED'}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"samples": samples, "medians": medians, "ratio": ratio}, indent=1))
    return int(not met)


def cpu_seconds(program: str) -> float:
    """User and system time of a fresh interpreter that runs the program, with byte code allowed."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # noqa: TID251
    with subprocess.Popen([sys.executable, "-c", program], env=inherited) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        message = f"the program failed: {program}"
        raise RuntimeError(message)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    sys.exit(main())
