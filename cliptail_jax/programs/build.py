"""Build one of the project's own data sets:

    cliptail build glyphs --data_dir=DIR

All but glyphs and glyphs/composed are made from raw data, given by --raw, or by --train, --val and --test.
cliptail_jax/datasets/README.md describes them.
"""

import argparse
import os
import time

from cliptail_jax.datasets.options import add_flags

__all__ = ["add_flags", "main"]


def main(options: argparse.Namespace) -> None:
    from cliptail_jax.datasets.build import build, built_folder, full_name, report

    options, start = vars(options), time.monotonic()
    name, data_dir = options.pop("name"), options.pop("data_dir")
    already_built = os.path.isdir(built_folder(name, data_dir))
    folder = build(name, data_dir, **options)
    done = (
        "already there; remove the folder to build it again"
        if already_built
        else f"built in {time.monotonic() - start:.0f} s"
    )
    print(f"{full_name(name)}: {folder} ({report(folder)}, {done})")
