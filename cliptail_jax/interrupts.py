"""Signals and lost terminals: how a program ends that is asked to, and goes on without anyone who reads what it says.

Nothing slow is imported here, for signals come during imports, too.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from types import FrameType
from typing import NoReturn

_saved = ""


def note_saved(text: str) -> None:
    """What a program that is stopped says of what it leaves, such as 'step 40 is saved'."""
    global _saved
    _saved = text


def exit_on_signal() -> None:
    """From now on, Ctrl-C and SIGTERM end the program at once, with a line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):  # nohup and `&` ignore Ctrl-C
            signal.signal(number, end)


def raise_on_ctrl_c() -> None:
    """From now on, Ctrl-C raises KeyboardInterrupt as usual, for programs that have something to put in order."""
    if signal.getsignal(signal.SIGINT) is end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end(number: int, frame: FrameType | None) -> None:
    """The handler of both: status 130 or 143, as a shell has it. What is saved stays, as after SIGKILL."""
    end_at_once("interrupted" if number == signal.SIGINT else "stopped by SIGTERM", 128 + number)


def end_at_once(reason: str, status: int) -> NoReturn:
    """Ends the program with a line, whatever its threads wait for. What is saved stays, as after SIGKILL."""
    with contextlib.suppress(OSError):
        os.write(2, f"\n{reason}{_saved and '; '}{_saved}\n".encode())
    _exit(status)


def exit_despite_threads(status: int) -> None:
    """Exits; at once if threads are left that Python would wait for, as Orbax's after a failed save, for minutes."""
    waited_for = [thread for thread in threading.enumerate() if not thread.daemon]
    if len(waited_for) > 1:  # the main thread is one
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        _exit(status)
    sys.exit(status)


def _exit(status: int) -> NoReturn:
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(status)


def end_with_parent() -> None:
    """From now on, this process, which another one has started, ends when that one does, and leaves Ctrl-C to it."""

    def wait_for_end() -> NoReturn:
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes
    threading.Thread(target=wait_for_end, daemon=True).start()


def ignore_closed_terminal() -> None:
    """From now on, writing to a terminal or pipe that is gone, or was never there, does nothing, as under nohup."""
    for name, descriptor in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:  # or else the next file that is opened would get what is meant for the terminal
            _discard(descriptor)
            mode = "r" if descriptor == 0 else "w"
            setattr(sys, name, open(descriptor, mode, closefd=False))
        elif descriptor:
            setattr(sys, name, _Outliving(getattr(sys, name), descriptor))


class _Outliving:
    """A text stream that discards what is written to it after the first error."""

    def __init__(self, stream, descriptor: int):
        self._stream, self._descriptor = stream, descriptor

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with self._discarding():
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._discarding():
            self._stream.flush()

    @contextlib.contextmanager
    def _discarding(self):
        try:
            yield
        except OSError:
            _discard(self._descriptor)


def _discard(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)
