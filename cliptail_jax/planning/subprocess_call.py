"""Calls in a process of their own, which may crash, as compilers do, without ending the program."""

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
    """The process has died. The message is the name of the signal, or the status with which it has ended and its last words."""


def run_in_subprocess(call: Callable[[], T], waiting: Callable[[], None] = lambda: None) -> T:
    """What `call` returns or raises in a forked process; until it does, `waiting` is called twice a second.

    Before, JAX must not have started a backend in this process, whose threads a fork would not have. What libraries
    print to stderr by themselves, such as the trace of a crash, is not shown. The process ends with this call, also by
    Ctrl-C. Raises Crash if it dies.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryFile() as said:
        process = context.Process(target=_send_outcome, args=(call, sender, said.fileno()), daemon=True)
        process.start()
        sender.close()
        try:
            while not receiver.poll(0.5):
                waiting()
            outcome = receiver.recv()
        except EOFError:
            process.join()
            said.seek(0)
            raise Crash(_reason(process.exitcode, said.read().decode(errors="replace"))) from None
        finally:
            process.kill()
            process.join()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _send_outcome(call: Callable[[], T], sender: Connection, said: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it, too, and ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(said, 2)
    try:
        outcome = call()
    except Exception as error:
        error.add_note(traceback.format_exc())
        outcome = error
    sender.send(outcome)


def _reason(exit_code: int, said: str) -> str:
    if exit_code < 0:
        return signal.Signals(-exit_code).name
    return ": ".join([f"exit status {exit_code}", *said.strip().splitlines()[-1:]])
