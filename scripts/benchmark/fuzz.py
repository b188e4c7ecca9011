"""Made-up input for everything that reads what users write: thousands of examples of each kind.

    python scripts/benchmark/fuzz.py [--examples=10000] [--kinds=configs,captions]

Prints a line of JSON a kind: the examples, how many were refused with a line, seconds, and the failures: examples that
raise anything else. With a failure the exit status is 1.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from hypothesis import HealthCheck, given, settings

from tests.fuzz_cases import CASES, read


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--kinds", default=",".join(CASES), help="separated by commas; default: all")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.kinds.split(","):
            outcomes, failures, began = [], [], time.monotonic()

            @settings(
                max_examples=options.examples, database=None, deadline=None, suppress_health_check=list(HealthCheck)
            )
            @given(CASES[kind].examples)
            def try_one(example):
                outcomes.append(read(CASES[kind], example, Path(folder) / "x"))

            try:
                try_one()
            except Exception as error:  # the smallest example that hypothesis finds is in its notes
                notes = " ".join(getattr(error, "__notes__", []))
                failures.append(f"{error!r} {notes}"[:500])
            line = {"benchmark": "fuzz", "kind": kind, "examples": len(outcomes), "refused": outcomes.count(False)}
            print(json.dumps(line | {"seconds": round(time.monotonic() - began, 1), "failures": failures}), flush=True)
            failed |= bool(failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
