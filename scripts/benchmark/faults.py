"""Injects faults at every change of a file, in tiny runs of each program: a kill, a full disk, a disk error.

    python scripts/benchmark/faults.py [--programs='train sup,count'] [--every=10] [--seed=3]

Each program runs again after its fault, and must end with the result of a run without faults. Prints one JSON line for
each program with the numbers of file changes, faults and failures. All faults of a training run take half an hour;
--every=10 tries every tenth, chosen by --seed.
"""

import argparse
import contextlib
import functools
import io
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

COMPILED = tempfile.TemporaryDirectory()
# Before JAX is imported: compiling would be most of the time.
for name, value in (
    ("JAX_PLATFORMS", "cpu"),
    ("JAX_DISABLE_MOST_OPTIMIZATIONS", "1"),
    ("JAX_COMPILATION_CACHE_DIR", COMPILED.name),
    ("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0"),
):
    os.environ.setdefault(name, value)
sys.path.insert(0, str(Path(__file__).parents[2]))

from absl import flags  # noqa: E402
from common import print_report  # noqa: E402
from tqdm import tqdm  # noqa: E402

from cliptail_jax.datasets.build import build  # noqa: E402
from cliptail_jax.datasets.glyphs.glyphs import Glyphs  # noqa: E402
from cliptail_jax.interrupts import exit_despite_threads  # noqa: E402
from configs import clip, dino, sup  # noqa: E402
from tests.faults import KINDS  # noqa: E402
from tests.faulty_programs import Start, attempt, programs, reference  # noqa: E402
from tests.synthetic import tiny  # noqa: E402

FAMILIES = {"sup": sup, "clip": clip, "dino": dino}
SLOW = 60.0  # seconds, after which an attempt counts as hung


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", default="", help="names, separated by commas; default: all")
    parser.add_argument("--every", type=int, default=1, help="try one in so many changes")
    parser.add_argument("--seed", type=int, default=0, help="with --every, which of them")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        start = Start(functools.partial(tiny_config, root / "tfds"), root)
        with silence():
            build("glyphs", str(root / "tfds"))
            found = programs(start)
        for name in options.programs.split(",") if options.programs else found:
            with silence():
                expected, changes = reference(found[name], root / "work")
            tried = range(1 + options.seed % options.every, changes + 1, options.every)
            failures = []
            for at in tqdm(tried, desc=name, disable=None):
                for kind in KINDS:
                    began = time.monotonic()
                    with silence():
                        problem = attempt(found[name], expected, root / "work", at, kind)
                    if not problem and time.monotonic() - began > SLOW:
                        problem = f"takes {time.monotonic() - began:.0f} s"
                    if problem:
                        failures.append({"change": at, "kind": kind, "problem": problem})
            faults = len(tried) * len(KINDS)
            print_report("faults", program=name, changes=changes, faults=faults, failures=failures)


def tiny_config(data_dir: Path, family: str):
    return tiny(FAMILIES[family], data_dir)


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Discards what the programs print."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


if __name__ == "__main__":
    threading.excepthook = lambda args: None  # threads that are killed, too
    flags.FLAGS(["faults"])  # Grain's workers need parsed flags
    Glyphs.IMAGES_PER_CLASS = {"train": 8, "test": 2}
    main()
    exit_despite_threads(0)
