"""Damage to every file that programs leave: bits flipped, cut off, deleted, exchanged for another run's.

    python scripts/benchmark/damage.py [--subjects='run sup,export'] [--flips=20]

What reads the files must name the damaged one, or give what it gave before. Prints a line of JSON a subject: its files, how
often damage was tried, named, and changed nothing, and the failures. With a failure the exit status is 1.
"""

import argparse
import collections
import json
import random
import tempfile
import time
from pathlib import Path

from tiny_programs import silence, tiny_programs  # first, as it says how JAX is to be started
from tqdm import tqdm

from cliptail_jax.interrupts import exit_despite_threads
from tests.damage import KINDS, attempt, files_of, subjects


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--subjects", default="", help="names, separated by commas; default: all")
    parser.add_argument("--flips", type=int, default=20, help="flipped bits a file")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        config, programs = tiny_programs(root)
        with silence():
            found = subjects(config, programs, root)
        for name in options.subjects.split(",") if options.subjects else found:
            began, outcomes, failures, draw = time.monotonic(), collections.Counter(), [], random.Random(name)
            subject = found[name]()
            files = files_of(subject)
            with silence():
                expected = subject.expected(root / "work")
            for file in tqdm(files, desc=name, disable=None):
                for kind in KINDS:
                    for _ in range(options.flips if kind == "flip" else 1):
                        outcome = attempt(subject, expected, root / "work", file, kind, draw)
                        outcomes[outcome if outcome in ("named", "same", "unchanged") else "failed"] += 1
                        if outcome not in ("named", "same", "unchanged"):
                            failures.append({"file": file, "kind": kind, "problem": outcome[:300]})
            line = {"benchmark": "damage", "subject": name, "files": len(files), **outcomes}
            print(json.dumps(line | {"seconds": round(time.monotonic() - began), "failures": failures}), flush=True)
            failed |= bool(failures)
    return int(failed)


if __name__ == "__main__":
    exit_despite_threads(main())
