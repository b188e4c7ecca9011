"""Calls in a process of their own, which may crash, as compilers do, without ending the program."""

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

T = TypeVar("T")


class Crash(Exception):
    """The process has died of a signal, whose name is the message."""


def in_own_process(call: Callable[[], T], waiting: Callable[[], None] = lambda: None) -> T:
    """What `call` returns or raises in a forked process; until it does, `waiting` is called twice a second.

    Before, JAX must not have started a backend in this process, whose threads a fork would not have. What libraries
    print to stderr by themselves is not shown. The process ends with this call, also by Ctrl-C. Raises Crash if it dies.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_outcome, args=(call, sender), daemon=True)
    process.start()
    sender.close()
    try:
        while not receiver.poll(0.5):
            waiting()
        outcome = receiver.recv()
    except EOFError:
        process.join()
        raise Crash(_reason(process.exitcode)) from None
    finally:
        process.kill()
        process.join()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _send_outcome(call: Callable[[], T], sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it, too, and ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # where a library that crashes would print its trace
    try:
        outcome = call()
    except Exception as error:
        error.add_note(traceback.format_exc())
        outcome = error
    sender.send(outcome)


def _reason(exit_code: int) -> str:
    return signal.Signals(-exit_code).name if exit_code < 0 else f"exit status {exit_code}"
