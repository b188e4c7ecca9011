"""Random input for all readers of user input: thousands of examples of each kind.

    python scripts/benchmark/fuzz.py [--examples=10000] [--kinds=configs,captions] [--seed=3]

Prints one JSON line for each kind: the examples, how many were refused with one line, seconds, and the failures: examples
that raise anything else. With a failure the exit status is 1.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import hypothesis
from common import print_report

from tests.fuzz_cases import CASES, read


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--examples", type=int, default=10_000)
    parser.add_argument("--kinds", default=",".join(CASES), help="separated by commas; default: all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    checks = dict(database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for kind in options.kinds.split(","):
            outcomes, failures, began = [], [], time.monotonic()

            @hypothesis.seed(options.seed)
            @hypothesis.settings(max_examples=options.examples, **checks)
            @hypothesis.given(CASES[kind].examples)
            def try_one(example):
                outcomes.append(read(CASES[kind], example, Path(folder) / "x"))

            try:
                try_one()
            except Exception as error:  # its notes have the smallest example that hypothesis finds
                failures.append(f"{error!r} {' '.join(getattr(error, '__notes__', []))}"[:500])
            numbers = {"kind": kind, "examples": len(outcomes), "refused": outcomes.count(False)}
            print_report("fuzz", **numbers, seconds=round(time.monotonic() - began, 1), failures=failures)
            failed |= bool(failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
