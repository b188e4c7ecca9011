"""Printing for the user of a program."""

import shlex
import sys
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from cliptail_jax.host.files import append_bytes
from cliptail_jax.host.printing import one_line

T = TypeVar("T")
_copy: Path | None = None  # the file to which lines are copied


def copy_lines(path: Path) -> None:
    """From now on, `log_line` also appends its lines to a file, each with its time."""
    global _copy
    _copy = path


def log_line(text: str) -> None:
    """Print a line on the first process, without breaking a progress bar."""
    import jax  # here, since readers of results do not need it

    if jax.process_index() == 0:
        text = one_line(text)
        tqdm.write(text, file=sys.stderr)
        if _copy is not None:
            append_bytes(_copy, f"{time.strftime('%Y-%m-%d,%H:%M:%S')} | INFO | {text}\n".encode())


def with_bar(items: Collection[T], label: str, unit: str) -> Iterable[T]:
    """The items, with a bar in a terminal if iterating over them takes longer than two seconds."""
    return tqdm(items, label, unit=f" {unit}", delay=2.0, disable=None, leave=False)


def last_lines(results: str | Path, page: str = "") -> str:
    """The last lines of a program: its results, and the page that shows them or the command that writes it."""
    command = f"cliptail report --workdir={shlex.quote(str(results))}"
    return f"Results:      {results}\nTo see them:  {page or command}"
