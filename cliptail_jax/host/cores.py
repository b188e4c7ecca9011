"""The cores of the host's CPU."""

import os
from pathlib import Path

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")  # 'max 100000', or the microseconds of CPU time in each period of 100,000


def usable_cores() -> int:
    """The number of cores that this process may use: those of its affinity, or fewer by its container's quota (cgroup v2)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = CPU_MAX.read_text(encoding="utf-8").split()
        return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no container, or another kind of control group
        return cores
