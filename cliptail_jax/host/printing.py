"""What programs print: names without control characters, to a standard output that may be closed or full.

Names of files and classes may contain control characters, which recolour a terminal or move its cursor. Files keep such names,
so that tables can be joined by them; on a terminal they are escaped, as in `\\x1b[31m`. Nothing slow is imported here.
"""

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterator

STDOUT = 1  # its file descriptor
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")  # all but tabs and line feeds


def printable(text: str) -> str:
    """The text with control characters escaped, apart from tabs and line feeds."""
    return CONTROL.sub(lambda character: character[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    """The text as a single printable line: line feeds are escaped, too. For messages, which may quote any name."""
    return printable(text).replace("\n", "\\n")


class Output(io.TextIOBase):
    """A standard output that writes printable text. It ends the program if its text is lost.

    If nobody reads the output any more, as after `| head -1`, the status is 1, without a message; otherwise, as on a full
    device, it is 2, with one line.
    """

    def __init__(self, stream: io.TextIOBase):
        self._stream = stream

    @property
    def encoding(self) -> str | None:
        return self._stream.encoding

    def write(self, text: str) -> int:
        self._end_on_error(lambda: self._stream.write(printable(text)))
        return len(text)

    def flush(self) -> None:
        self._end_on_error(self._stream.flush)

    def _end_on_error(self, write: Callable[[], object]) -> None:
        try:
            write()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # for the flush at exit
            if isinstance(error, BrokenPipeError):
                sys.exit(1)
            print(f"error: the standard output cannot be written: {error.strerror}", file=sys.stderr)
            sys.exit(2)


@contextlib.contextmanager
def checked_output() -> Iterator[None]:
    """Makes standard output an `Output` in this context. It is flushed at the end, where errors end the program, too."""
    if sys.stdout is None:  # it is closed
        yield
        return
    with contextlib.redirect_stdout(Output(sys.stdout)):
        try:
            yield
        except SystemExit:
            sys.stdout.flush()
            raise
        sys.stdout.flush()
