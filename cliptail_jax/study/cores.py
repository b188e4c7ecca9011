"""Calls of a function at the same time, in processes that have one core of the CPU each.

A second core is of little use to the step of a small model: two runs at the same time, on one core each, take three quarters
of the time that they take one after the other on both. Their numbers, which depend on the number of cores to rounding, are
then those of one core on every machine.
"""

import fcntl
import itertools
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, TypeVar

import jax
from absl import flags

from cliptail_jax.config.program import silence_copies
from cliptail_jax.errors import UserError
from cliptail_jax.interrupts import end_with_parent
from cliptail_jax.parallel.host_memory import keep_freed_memory
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.progress import clear, send_progress, show_or_print

T = TypeVar("T")
CPU_MAX = Path("/sys/fs/cgroup/cpu.max")  # as 'max 100000', or microseconds of CPU time in each period of so many


def jobs_at_once(jobs: int | None) -> int:
    """How many of `jobs` calls run at the same time, by default one a core; 0: one after the other, each on all cores or devices.

    That is so with one job, with accelerators, in a program of several processes or virtual devices, and on systems that
    do not give a process a core, such as macOS.

    Raises:
        UserError: several jobs are asked for where they cannot run at the same time.
    """
    if jobs == 1:
        return 0
    if not hasattr(os, "sched_setaffinity"):
        obstacle = "this system does not give a process a core of its own"
    elif jax.default_backend() != "cpu" or jax.device_count() > 1:
        obstacle = f"this program has {jax.device_count()} devices ({jax.devices()[0].device_kind})"
    else:
        cores = usable_cores()
        return min(jobs or cores, cores)
    if jobs:
        raise UserError(f"--jobs={jobs}: runs train at the same time on cores of one CPU, and {obstacle}: leave it out")
    return 0


def usable_cores() -> int:
    """The cores that this process may use: those of its affinity, or fewer by the quota of its container (cgroup v2)."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = CPU_MAX.read_text(encoding="utf-8").split()
        return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no container, or another kind of control group
        return cores


def call_on_cores(function: Callable[..., T], calls: Mapping[str, Sequence[Any]], jobs: int) -> Iterator[tuple[str, T]]:
    """Calls a function with the arguments of each of `calls` in so many processes, on a core each of those of this process.

    What the processes write to stderr goes through this one, in whole lines, and so does the progress of their runs.
    SIGTERM is passed on to them, and ends this program when they have saved what they do.

    Yields:
        The names of the calls with what they return, as they end.

    Raises:
        UserError: a process was killed.
    """
    context = multiprocessing.get_context("spawn")  # a fork would copy JAX's threads in an undefined state
    cores = context.SimpleQueue()
    for core in itertools.islice(itertools.cycle(sorted(os.sched_getaffinity(0))), jobs):
        cores.put(core)
    lines, stderr = context.Pipe(duplex=False)
    reader = threading.Thread(target=say_lines, args=(lines,), daemon=True)
    reader.start()
    pool = ProcessPoolExecutor(jobs, context, begin, (cores, stderr, jax.config.jax_compilation_cache_dir))
    stopped, others = threading.Event(), set(multiprocessing.active_children())

    def stop(*_) -> None:
        stopped.set()
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        names = {pool.submit(call, function, *arguments): name for name, arguments in calls.items()}
        for future in as_completed(names):
            yield names[future], future.result()
    except BrokenProcessPool:
        if stopped.is_set():
            log_line("stopped by SIGTERM; the same command goes on from what is saved")
            raise SystemExit(128 + signal.SIGTERM) from None
        raise UserError(
            f"a process that trained a run was killed, perhaps for its memory: {jobs} run at the same time, and "
            "--jobs sets how many; the same command goes on from what is saved"
        ) from None
    except BaseException:  # such as the interruption of a notebook
        stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        signal.signal(signal.SIGTERM, before)
        stderr.close()
        reader.join(timeout=1.0)
        clear()


def begin(cores: SimpleQueue, stderr: Connection, cache: str | None) -> None:
    """Makes a new process what the program is, on a core that is free, or on one of `cores` where there are no locks."""
    core = take_core()
    os.sched_setaffinity(0, {cores.get() if core is None else core})
    os.dup2(stderr.fileno(), 2)
    send_progress()
    end_with_parent()
    keep_freed_memory()
    silence_copies()
    flags.FLAGS.mark_as_parsed()  # Grain's worker processes inherit the flags, and refuse unparsed ones
    jax.config.update("jax_compilation_cache_dir", cache)


def take_core() -> int | None:
    """A core of this process that fewest processes of this user's studies have taken; None where files cannot be locked.

    A core is taken by the lock of CORE.0, CORE.1, ... in a folder of the machine, until the process ends.
    """
    folder = Path(tempfile.gettempdir(), f"cliptail_jax-cores-{os.getuid()}")
    cores = sorted(os.sched_getaffinity(0))
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        for number in itertools.count():
            for core in cores:
                lock = os.open(folder / f"{core}.{number}", os.O_CREAT | os.O_WRONLY, 0o600)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return core
                except BlockingIOError:
                    os.close(lock)
    except OSError:
        return None


def call(function: Callable[..., T], *arguments: Any) -> T:
    """Calls a function in this process, which ends with it if it is stopped.

    Back in the pool, it would start the next call, or wait for a lock that a process which ended there before it has left.
    """
    try:
        return function(*arguments)
    except SystemExit as stopped:
        os._exit(stopped.code)


def say_lines(lines: Connection) -> None:
    with open(os.dup(lines.fileno()), encoding="utf-8", errors="replace") as text:
        for line in text:
            show_or_print(line.rstrip("\n"))
