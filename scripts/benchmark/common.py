"""Shared parts of the benchmarks: measuring rates, folders of images, and output."""

import json
import os
import platform
import resource
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def print_report(benchmark: str, **numbers) -> None:
    """Prints one line of JSON with the numbers, the processor and how many of its cores this process may use."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":")[1].strip() for line in cpuinfo if line.startswith("model name")]
    machine = f"{names[0] if names else platform.machine()}, {len(os.sched_getaffinity(0))} cores"
    print(json.dumps({"benchmark": benchmark, **numbers, "machine": machine}), flush=True)


def cpu_seconds() -> float:
    """CPU time of this process, of all its threads, and of the processes that it has started and that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def peak_gib() -> float:
    """The most memory that this process has used."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)  # Linux counts KiB


def rates(work: Callable[[], object], amount: int, seconds: float) -> tuple[float, float]:
    """The rate of work per second of wall-clock time, and per second of CPU time.

    Args:
        work: does the `amount`, such as of images. Its first call is not counted.
        seconds: `work` is called for at least this time.
    """
    work()
    began, cpu_before, times = time.perf_counter(), cpu_seconds(), 0
    while times == 0 or time.perf_counter() - began < seconds:
        work()
        times += 1
    done = times * amount
    return round(done / (time.perf_counter() - began), 1), round(done / (cpu_seconds() - cpu_before), 1)


def read_images(folder: Path, number: int) -> dict[Path, bytes]:
    """The first JPEG and PNG files of a folder, at any depth."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpeg", ".jpg", ".png"))
    return {file: file.read_bytes() for file in files[:number]}
