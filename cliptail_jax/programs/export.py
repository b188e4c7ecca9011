"""Write a run's model for open_clip:

    cliptail export --workdir=runs/clip --output=FOLDER

The model is that of the run's newest valid checkpoint, with averaged weights if the run has them. The program prints a note
if the run is not trained to its end.
"""

import argparse
from pathlib import Path

from cliptail_jax.host.outputs import add_overwrite


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workdir", required=True, type=Path, help="the run's directory")
    parser.add_argument("--output", required=True, type=Path, help="the folder to write")
    add_overwrite(parser)


def main(options: argparse.Namespace) -> None:
    from cliptail_jax.pretrained.export import export

    export(options.workdir, options.output, options.overwrite)
    print(f"{options.output}: open_clip loads it as local-dir:{options.output}")
