"""Duration of the quick start's study with several runs at the same time, on one core each, and with one after the other.

    python scripts/benchmark/study_cores.py [--jobs=2]

Each is the program as users start it, on data that are drawn before, in a new folder. Prints one JSON line.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import print_report

from cliptail_jax.datasets.build import build

STUDY = [sys.executable, "-m", "cliptail_jax.study", "--config=configs/study/quickstart.py"]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2, help="how many runs at the same time")
    jobs = parser.parse_args(arguments).jobs
    seconds = {}
    with tempfile.TemporaryDirectory() as folder:
        build("glyphs", folder)
        for number in (jobs, 1):
            workdir, began = Path(folder) / f"jobs_{number}", time.perf_counter()
            flags = [f"--workdir={workdir}", f"--config.data_dir={folder}", f"--jobs={number}"]
            subprocess.run([*STUDY, *flags], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seconds[number] = time.perf_counter() - began
    one, speedup = seconds[1], seconds[1] / seconds[jobs]
    print_report("study_cores", jobs=jobs, seconds=seconds[jobs], seconds_one_after_the_other=one, speedup=speedup)


if __name__ == "__main__":
    main()
