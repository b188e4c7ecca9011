"""Faults at every change of a file, in tiny runs of each program: killed, a full disk, an error of the disk.

    python scripts/benchmark/faults.py [--programs='train sup,count'] [--every=10]

Each is run again after its fault, and must end with the result of a run without one. Prints a line of JSON a program: the
changes of files that it makes, the faults that were tried, and the failures that were found. All faults of a training run
take half an hour; --every=10 tries each tenth.
"""

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
COMPILED = tempfile.TemporaryDirectory()
# Before JAX is imported: compiling would be most of the time.
os.environ |= {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
os.environ |= {"JAX_COMPILATION_CACHE_DIR": COMPILED.name, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}

from absl import flags  # noqa: E402
from tqdm import tqdm  # noqa: E402

from cliptail_jax.datasets.build import build  # noqa: E402
from cliptail_jax.datasets.glyphs.glyphs import Glyphs  # noqa: E402
from cliptail_jax.interrupts import exit_despite_threads  # noqa: E402
from configs import clip, dino, sup  # noqa: E402
from tests.faults import KINDS  # noqa: E402
from tests.faulty_programs import attempt, programs, reference  # noqa: E402
from tests.made_up import tiny  # noqa: E402

SLOW = 60.0  # seconds, after which an attempt counts as hung


@contextlib.contextmanager
def silence():
    """What the programs say is of no interest here, nor what their threads do when they are killed."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", default="", help="names, separated by commas; default: all")
    parser.add_argument("--every", type=int, default=1, help="try each so-many-th change only")
    options = parser.parse_args()
    flags.FLAGS(["faults"])  # of which Grain's workers want to hear
    threading.excepthook = lambda args: None
    Glyphs.IMAGES_PER_CLASS = {"train": 8, "test": 2}
    families = {"sup": sup, "clip": clip, "dino": dino}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with silence():
            build("glyphs", str(root / "tfds"))
            found = programs(lambda name: tiny(families[name], root / "tfds"), root / "start")
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
