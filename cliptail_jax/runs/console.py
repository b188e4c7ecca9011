"""Printing for the user of a program."""

import sys

import jax
from tqdm import tqdm


def log_line(text: str) -> None:
    """Print a line on the first process, without breaking a progress bar."""
    if jax.process_index() == 0:
        tqdm.write(text, file=sys.stderr)


def progress_bar(label: str, done: int, total: int) -> tqdm:
    """A progress bar over images, which is shown in terminals only."""
    return tqdm(total=total, initial=done, unit=" images", unit_scale=True, desc=label, disable=None)
