"""What a program tells its user."""

import sys

import jax
from tqdm import tqdm


def say(text: str) -> None:
    """Print a line on the first process, without breaking a progress bar."""
    if jax.process_index() == 0:
        tqdm.write(text, file=sys.stderr)
