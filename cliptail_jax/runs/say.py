"""What a program tells its user."""

import sys
from pathlib import Path

import jax
from tqdm import tqdm


def say(text: str) -> None:
    """Print a line on the first process, without breaking a progress bar."""
    if jax.process_index() == 0:
        tqdm.write(text, file=sys.stderr)


def called(workdir: Path) -> str:
    """What a run is called: its directory and the one above, such as seed_0/clip, for seeds have runs of the same name."""
    return "/".join(filter(None, (workdir.parent.name, workdir.name)))
