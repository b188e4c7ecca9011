"""Calls a function several times at once, in processes that have one core of the CPU or one chip each.

A second core is of little use to the step of a small model: two runs at the same time, on one core each, take three quarters
of the time that they take one after the other on both cores. Since rounding depends on the number of cores, runs on one core
each also have the same numbers on machines with more cores.
"""

import fcntl
import itertools
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Any, TypeVar

import jax
from absl import flags
from tqdm import tqdm

from cliptail_jax.config.command_line import silence_copies
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.interrupts import RESOURCE_TRACKER_WARNINGS, end_with_parent
from cliptail_jax.host.memory import keep_freed_memory
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.progress import clear, send_progress, show_or_print
from cliptail_jax.study.places import Place

T = TypeVar("T")
RESUMES = "the same command continues runs from their checkpoints, and starts runs without one again"
PATIENCE = 5.0  # seconds that the other processes have to save their state after one was killed


def call_at_places(
    function: Callable[..., T], calls: Mapping[str, Sequence[Any]], places: Sequence[Place]
) -> Iterator[tuple[str, T]]:
    """Call a function with the arguments of each of `calls`, in a process at each place.

    This process prints what the others write to stderr, in whole lines, and the progress of their runs. It passes SIGTERM on
    to them, and ends when they have saved their state.

    Yields:
        The name and the result of each call, in the order in which they end.

    Raises:
        UserError: a process was killed.
    """
    sys.warnoptions.append(RESOURCE_TRACKER_WARNINGS)
    context = multiprocessing.get_context("spawn")  # a fork would copy JAX's threads in an undefined state
    free = context.SimpleQueue()
    for place in places:
        free.put(place)
    lines, stderr = context.Pipe(duplex=False)
    reader = threading.Thread(target=show_lines, args=(lines,), daemon=True)
    reader.start()
    pool = ProcessPoolExecutor(len(places), context, begin, (free, stderr, jax.config.jax_compilation_cache_dir))
    was_stopped, other_processes = threading.Event(), set(multiprocessing.active_children())

    def stop(*_) -> None:
        was_stopped.set()
        for process in set(multiprocessing.active_children()) - other_processes:
            process.terminate()

    previous_handler = signal.signal(signal.SIGTERM, stop)
    try:
        names = {pool.submit(call, function, *arguments): name for name, arguments in calls.items()}
        pool.submit(int)  # Python may notice that a process has ended only when it submits another call
        for future in as_completed(names):
            yield names[future], future.result()
    except BrokenProcessPool:
        if was_stopped.is_set():
            log_line(f"stopped by SIGTERM; {RESUMES}")
            raise SystemExit(128 + signal.SIGTERM) from None
        # The pool has sent SIGTERM to the others and waits for them; one that compiles ends only after its first step.
        timer = threading.Timer(PATIENCE, kill, [set(multiprocessing.active_children()) - other_processes])
        timer.daemon = True
        timer.start()
        raise UserError(
            f"a process that trained a run was killed, perhaps for its memory: {len(places)} run at the same time, and "
            f"--jobs sets how many; {RESUMES}"
        ) from None
    except BaseException:  # such as the interruption of a notebook
        stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        signal.signal(signal.SIGTERM, previous_handler)
        stderr.close()
        reader.join(timeout=1.0)
        clear()


def begin(free: SimpleQueue, stderr: Connection, cache: str | None) -> None:
    """Initialize a worker process at a free place."""
    place = free.get()
    os.environ |= place.environment  # JAX has not yet started its devices
    os.sched_setaffinity(0, place.cores or take_core())
    os.dup2(stderr.fileno(), 2)
    tqdm.set_lock(threading.RLock())  # its default is a semaphore, which would outlive a process that is stopped
    send_progress()
    end_with_parent()
    keep_freed_memory()
    silence_copies()
    flags.FLAGS.mark_as_parsed()  # Grain's worker processes inherit the flags, and refuse unparsed ones
    jax.config.update("jax_compilation_cache_dir", cache)
    if place == Place():  # a core of a machine without accelerators
        jax.config.update("jax_platforms", "cpu")  # else JAX loads libtpu, if it is installed, which prints errors


def take_core() -> set[int]:
    """The core that the fewest processes of this user's studies use; all cores of this process where files cannot be locked.

    Until it ends, the process locks one of the files CORE.0, CORE.1, ... in a temporary folder.
    """
    folder = Path(tempfile.gettempdir(), f"cliptail_jax-cores-{os.getuid()}")
    cores = os.sched_getaffinity(0)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        for number in itertools.count():
            for core in sorted(cores):
                lock = os.open(folder / f"{core}.{number}", os.O_CREAT | os.O_WRONLY, 0o600)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return {core}
                except BlockingIOError:
                    os.close(lock)
    except OSError:
        return cores


def call(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function, and end this process if the function is stopped.

    If the process returned to the pool, it would start the next call, or wait for a lock of a process that has ended.
    """
    try:
        return function(*arguments)
    except SystemExit as exit:
        os._exit(exit.code)


def kill(processes: Iterable[BaseProcess]) -> None:
    for process in processes:
        process.kill()


def show_lines(lines: Connection) -> None:
    with open(os.dup(lines.fileno()), encoding="utf-8", errors="replace") as text:
        for line in text:
            show_or_print(line.rstrip("\n"))
