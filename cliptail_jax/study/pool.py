"""Calls a function several times at once, in processes with a core of the CPU or a chip each.

A second core is of little use to the step of a small model: two runs at the same time, on one core each, take three quarters
of the time that they take one after the other on both. Their numbers, which depend on the number of cores to rounding, are
then those of one core on every machine.
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
from cliptail_jax.host.interrupts import LEFT_BEHIND, end_with_parent
from cliptail_jax.host.memory import keep_freed_memory
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.progress import clear, send_progress, show_or_print
from cliptail_jax.study.places import Place

T = TypeVar("T")
RESUMES = "the same command continues runs from their checkpoints, and starts runs without one again"
PATIENCE = 5.0  # seconds in which the other processes may save what they do after one was killed


def call_at_places(
    function: Callable[..., T], calls: Mapping[str, Sequence[Any]], places: Sequence[Place]
) -> Iterator[tuple[str, T]]:
    """Calls a function with the arguments of each of `calls`, in a process at each place.

    What the processes write to stderr goes through this one, in whole lines, and so does the progress of their runs.
    SIGTERM is passed on to them, and ends this program when they have saved what they do.

    Yields:
        The names of the calls with what they return, as they end.

    Raises:
        UserError: a process was killed.
    """
    sys.warnoptions.append(LEFT_BEHIND)
    context = multiprocessing.get_context("spawn")  # a fork would copy JAX's threads in an undefined state
    free = context.SimpleQueue()
    for place in places:
        free.put(place)
    lines, stderr = context.Pipe(duplex=False)
    reader = threading.Thread(target=show_lines, args=(lines,), daemon=True)
    reader.start()
    pool = ProcessPoolExecutor(len(places), context, begin, (free, stderr, jax.config.jax_compilation_cache_dir))
    stopped, others = threading.Event(), set(multiprocessing.active_children())

    def stop(*_) -> None:
        stopped.set()
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()

    before = signal.signal(signal.SIGTERM, stop)
    try:
        names = {pool.submit(call, function, *arguments): name for name, arguments in calls.items()}
        pool.submit(
            int
        )  # Python may notice the end of a process only after the call that follows the one it was started for
        for future in as_completed(names):
            yield names[future], future.result()
    except BrokenProcessPool:
        if stopped.is_set():
            log_line(f"stopped by SIGTERM; {RESUMES}")
            raise SystemExit(128 + signal.SIGTERM) from None
        # The pool has sent SIGTERM to the others and waits for them; one that compiles ends only after its first step.
        timer = threading.Timer(PATIENCE, kill, [set(multiprocessing.active_children()) - others])
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
        signal.signal(signal.SIGTERM, before)
        stderr.close()
        reader.join(timeout=1.0)
        clear()


def begin(free: SimpleQueue, stderr: Connection, cache: str | None) -> None:
    """Initializes a worker process at a free place."""
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


def take_core() -> set[int]:
    """A core of this process that fewest processes of this user's studies have taken; all cores where files cannot be locked.

    A core is taken by the lock of CORE.0, CORE.1, ... in a folder of the machine, until the process ends.
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
    """Calls a function in this process, which ends with it if it is stopped.

    Back in the pool, it would start the next call, or wait for a lock that a process which ended there before it has left.
    """
    try:
        return function(*arguments)
    except SystemExit as stopped:
        os._exit(stopped.code)


def kill(processes: Iterable[BaseProcess]) -> None:
    for process in processes:
        process.kill()


def show_lines(lines: Connection) -> None:
    with open(os.dup(lines.fileno()), encoding="utf-8", errors="replace") as text:
        for line in text:
            show_or_print(line.rstrip("\n"))
