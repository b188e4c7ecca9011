"""Calls functions that may crash, such as compilers, in a subprocess, so that the program continues."""

import multiprocessing
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

T = TypeVar("T")


class Crash(Exception):
    """The subprocess died. The message is the name of the signal, or the exit status and the last line of stderr."""


def run_in_subprocess(call: Callable[[], T], waiting: Callable[[], None] = lambda: None) -> T:
    """Run `call` in a forked process, and return or raise its outcome. Until then, call `waiting` twice a second.

    JAX must not have started a backend in this process, since a fork lacks its threads. Output of libraries to stderr,
    such as the trace of a crash, is not shown. The subprocess ends with this call, even after Ctrl-C. Raises Crash if the
    subprocess dies.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryFile() as stderr:
        process = context.Process(target=_send_outcome, args=(call, sender, stderr.fileno()), daemon=True)
        process.start()
        sender.close()
        try:
            while not receiver.poll(0.5):
                waiting()
            outcome = receiver.recv()
        except EOFError:
            process.join()
            stderr.seek(0)
            raise Crash(_reason(process.exitcode, stderr.read().decode(errors="replace"))) from None
        finally:
            process.kill()
            process.join()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _send_outcome(call: Callable[[], T], sender: Connection, stderr: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent receives it, too, and ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(stderr, 2)
    try:
        outcome = call()
    except Exception as error:
        error.add_note(traceback.format_exc())
        outcome = error
    sender.send(outcome)


def _reason(exit_code: int, stderr: str) -> str:
    if exit_code < 0:
        return signal.Signals(-exit_code).name
    return ": ".join([f"exit status {exit_code}", *stderr.strip().splitlines()[-1:]])
