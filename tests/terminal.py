"""A terminal, and what programs show in it."""

import contextlib
import fcntl
import os
import struct
import termios
import threading
from collections.abc import Iterator


class Terminal:
    """A terminal of 24 lines. Programs write to the descriptor `end`, or open `path`."""

    def __init__(self, columns: int = 100):
        self._ours, self.end = os.openpty()
        self.path = os.ttyname(self.end)
        fcntl.ioctl(self.end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._shown = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            while data := os.read(self._ours, 4096):
                self._shown += data
        except OSError:  # nobody can write any more
            os.close(self._ours)

    @contextlib.contextmanager
    def as_stderr(self) -> Iterator[None]:
        with open(self.end, "w", closefd=False, encoding="utf-8") as stderr, contextlib.redirect_stderr(stderr):
            yield

    def text(self) -> str:
        """All that was written, once there is no writer any more; the bars, too, that were drawn over."""
        os.close(self.end)
        self._reader.join(timeout=20)
        return self._shown.decode(errors="replace").replace("\r", "\n")
