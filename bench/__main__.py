"""Figures of this machine, as medians and ratios within one run.

make bench                                  # all parts, about four minutes
make bench ARGS='cold --runs 15'            # one part
"""

import argparse
import json
import sys
from pathlib import Path

from bench import cold, startup, streaming

RESULTS = Path(__file__).parent / "results"
PARTS = {"startup": startup, "cold": cold, "streaming": streaming}


def main() -> int:
    """Measure, print, keep. Returns 1 when a target is missed."""
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which parts (default: all)")
    parser.add_argument("--runs", type=int, default=7, help="runs of each row (default 7)")
    arguments = parser.parse_args()
    missed = False
    RESULTS.mkdir(exist_ok=True)
    for name in arguments.parts or PARTS:
        part = PARTS[name]
        result = part.measure(arguments.runs)
        part.show(result)
        for target, (value, limit) in result["ratios"].items():
            missed |= value > limit
            print(f"{target:<38} {value:6.2f} (target <= {limit}): {'MISSED' if value > limit else 'met'}")
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
