"""Faults at every change of a file, in tiny runs of each program: killed, a full disk, an error of the disk.

    python scripts/benchmark/faults.py [--programs='train sup,count'] [--every=10]

Each is run again after its fault, and must end with the result of a run without one. Prints a line of JSON a program: the
changes of files that it makes, the faults that were tried, and the failures that were found. All faults of a training run
take half an hour; --every=10 tries each tenth.
"""

import argparse
import json
import tempfile
import threading
import time
from pathlib import Path

from tiny_programs import silence, tiny_programs  # first, as it says how JAX is to be started
from tqdm import tqdm

from cliptail_jax.interrupts import exit_despite_threads
from tests.faults import KINDS
from tests.faulty_programs import attempt, reference

SLOW = 60.0  # seconds, after which an attempt counts as hung


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", default="", help="names, separated by commas; default: all")
    parser.add_argument("--every", type=int, default=1, help="try each so-many-th change only")
    options = parser.parse_args()
    threading.excepthook = lambda args: None
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _, found = tiny_programs(root)
        for name in options.programs.split(",") if options.programs else found:
            with silence():
                expected, changes = reference(found[name], root / "work")
            failures, tried = [], 0
            for at in tqdm(range(1, changes + 1, options.every), desc=name, disable=None):
                for kind in KINDS:
                    began = time.monotonic()
                    with silence():
                        problem = attempt(found[name], expected, root / "work", at, kind)
                    tried += 1
                    if not problem and time.monotonic() - began > SLOW:
                        problem = f"takes {time.monotonic() - began:.0f} s"
                    if problem:
                        failures.append({"change": at, "kind": kind, "problem": problem})
            line = {"benchmark": "faults", "program": name, "changes": changes, "faults": tried, "failures": failures}
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
    exit_despite_threads(0)
