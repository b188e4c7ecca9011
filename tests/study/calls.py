"""What processes do in the tests of cores. Each imports this module: it needs nothing that is slow to import."""

import os
import signal
import sys
import time


def meet(folder, me, other):
    """Writes where this process runs, and waits for the other, which therefore runs now."""
    os.write(2, f"{me} is here\n".encode())
    (folder / me).touch()
    deadline = time.time() + 60
    while not (folder / other).exists() and time.time() < deadline:
        time.sleep(0.01)
    return os.sched_getaffinity(0), (folder / other).exists()


def end(by_signal):
    os.kill(os.getpid(), by_signal)


def end_or_outlive(folder, by_signal):
    """Ends by a signal once another process is here that SIGTERM does not end, as while it compiles."""
    if not by_signal:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (folder / "here").touch()
        time.sleep(60)
    while not (folder / "here").exists():
        time.sleep(0.01)
    end(by_signal)


def stay(seconds):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    time.sleep(seconds)


def seen(seconds):
    """How many devices JAX has, and the cores. It takes a while, so that one process does not do it twice."""
    import jax

    time.sleep(seconds)
    return jax.device_count(), os.sched_getaffinity(0)
