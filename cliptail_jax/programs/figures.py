"""Draw a figure of the paper.

`cliptail figures FIGURE --help` documents its sheet and its options.
"""

import argparse

from cliptail_jax import figures
from cliptail_jax.figures import add_flags

__all__ = ["add_flags", "main"]


def main(options: argparse.Namespace) -> None:
    print(f"wrote {', '.join(map(str, figures.draw(options)))}")
