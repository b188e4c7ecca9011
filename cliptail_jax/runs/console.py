"""Printing for the user of a program."""

import shlex
import sys
from pathlib import Path

import jax
from tqdm import tqdm


def log_line(text: str) -> None:
    """Print a line on the first process, without breaking a progress bar."""
    if jax.process_index() == 0:
        tqdm.write(text, file=sys.stderr)


def is_installed_command() -> bool:
    """Whether this program was started as `cliptail NAME`, not as `python -m cliptail_jax.NAME`."""
    return [Path(argument).name for argument in sys.orig_argv[1:2]] == ["cliptail"]


def last_lines(results: str | Path, page: str = "") -> str:
    """The last lines of a program: its results, and the page that shows them or the command that writes it."""
    program = "cliptail report" if is_installed_command() else "python -m cliptail_jax.report"
    command = f"{program} --workdir={shlex.quote(str(results))}"
    return f"Results:      {results}\nTo see them:  {page or command}"
