"""Build one of the project's own data sets:

    cliptail build glyphs --data_dir=DIR

All but glyphs and glyphs/composed are made from raw data, given by --raw, or by --train, --val and --test.
cliptail_jax/datasets/README.md describes them.
"""

import argparse

from cliptail_jax.datasets.options import add_flags

__all__ = ["add_flags", "main"]


def main(options: argparse.Namespace) -> None:
    from cliptail_jax.datasets.build import build_command  # slow to import

    build_command(**vars(options))
