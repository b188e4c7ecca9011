"""Ctrl-C, SIGTERM and closed terminals.

Nothing slow is imported here, since signals arrive during imports, too.
"""

import contextlib
import errno
import io
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

from cliptail_jax.host.printing import STDOUT, Output

# A filter for `sys.warnoptions`: Python removes semaphores and memory that killed processes shared, and would warn of it.
RESOURCE_TRACKER_WARNINGS = "ignore::UserWarning:multiprocessing.resource_tracker"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # errors of a device, not of a closed terminal or pipe
_result_note = ""
_temporary_folders: set[str] = set()


def note_saved(text: str) -> None:
    """Sets the message about results that a stopped program prints, such as 'step 40 is saved'."""
    global _result_note
    _result_note = text


@contextlib.contextmanager
def remove_at_end(folder: str) -> Iterator[None]:
    """A program that is stopped in this context removes the folder."""
    _temporary_folders.add(folder)
    try:
        yield
    finally:
        _temporary_folders.discard(folder)


def exit_on_signal() -> None:
    """From now on, Ctrl-C and SIGTERM end the program at once, with one line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):  # nohup and `&` ignore Ctrl-C
            signal.signal(number, end)


def raise_on_ctrl_c() -> None:
    """From now on, Ctrl-C raises KeyboardInterrupt as usual, for programs that clean up."""
    if signal.getsignal(signal.SIGINT) is end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end(number: int, frame: FrameType | None) -> None:
    """The handler of both signals. Exits with status 130 or 143, as shells report them. Saved results stay."""
    end_at_once("interrupted" if number == signal.SIGINT else "stopped by SIGTERM", 128 + number)


def end_at_once(reason: str, status: int) -> NoReturn:
    """Ends the program with one line, without waiting for threads. Saved results stay, as after SIGKILL."""
    erase = "\x1b[J" if os.isatty(2) else ""  # the bars below the first one
    with contextlib.suppress(OSError):
        os.write(2, f"\n{erase}{reason}{_result_note and '; '}{_result_note}\n".encode())
    _exit(status)


def exit_despite_threads(status: int) -> None:
    """Exits without waiting for threads and processes, for which Python may wait for minutes.

    These are Orbax's threads after a failed save, and Grain's processes that have lost their shared memory.
    """
    threads = [thread for thread in threading.enumerate() if not thread.daemon]
    if len(threads) > 1 or multiprocessing.active_children():  # the main thread is one of them
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        _exit(status)
    sys.exit(status)


def _exit(status: int) -> NoReturn:
    for child in multiprocessing.active_children():
        child.kill()
    for folder in _temporary_folders:
        import shutil  # it takes longer than all other imports here

        shutil.rmtree(folder, ignore_errors=True)
    os._exit(status)


def end_with_parent() -> None:
    """From now on, this child process ends when its parent does, and leaves Ctrl-C to it."""

    def wait_for_end() -> NoReturn:
        multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes
    threading.Thread(target=wait_for_end, daemon=True).start()


def ignore_closed_terminal() -> None:
    """From now on, output to a closed terminal or pipe, or to one that was never open, is discarded, as under nohup."""
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:  # the descriptor is free, and the next file that is opened would get it
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
        if descriptor:
            file = io.BufferedWriter(_DiscardingFile(descriptor, "w", closefd=False))
            encoding = getattr(stream, "encoding", None)
            text = io.TextIOWrapper(file, encoding, "backslashreplace", line_buffering=True)
            setattr(sys, name, Output(text) if descriptor == STDOUT else text)


class _DiscardingFile(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if self.fileno() == STDOUT and error.errno in FULL:
                raise
            return memoryview(data).nbytes
