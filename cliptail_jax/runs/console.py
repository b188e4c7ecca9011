"""Printing for the user of a program."""

import sys

import jax
from tqdm import tqdm


def log_line(text: str) -> None:
    """Print a line on the first process, without breaking a progress bar."""
    if jax.process_index() == 0:
        tqdm.write(text, file=sys.stderr)
