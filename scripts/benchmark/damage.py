"""Damage to every file that programs leave: bits flipped, cut off, deleted, exchanged for another run's.

    python scripts/benchmark/damage.py [--subjects='run sup,export'] [--flips=20]

What reads the files must name the damaged one, or give what it gave before. Prints a line of JSON a subject: its files, how
often damage was tried, named, and changed nothing, and the failures. With a failure the exit status is 1.
"""

import argparse
import collections
import contextlib
import io
import json
import os
import random
import sys
import tempfile
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
from tests.damage import KINDS, attempt, files_of, subjects  # noqa: E402
from tests.faulty_programs import programs  # noqa: E402
from tests.made_up import tiny  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--subjects", default="", help="names, separated by commas; default: all")
    parser.add_argument("--flips", type=int, default=20, help="flipped bits a file")
    options = parser.parse_args()
    flags.FLAGS(["damage"])  # of which Grain's workers want to hear
    Glyphs.IMAGES_PER_CLASS = {"train": 8, "test": 2}
    families, failed = {"sup": sup, "clip": clip, "dino": dino}, False
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            build("glyphs", str(root / "tfds"))

            def config(name):
                return tiny(families[name], root / "tfds")

            found = subjects(config, programs(config, root / "start"), root)
        for name in options.subjects.split(",") if options.subjects else found:
            began, outcomes, failures, draw = time.monotonic(), collections.Counter(), [], random.Random(name)
            subject = found[name]()
            files = files_of(subject)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
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
