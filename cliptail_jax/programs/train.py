"""Train one model:

    cliptail train sup:data=glyphs_lt --workdir=runs/sup

The same command continues an interrupted run from its last checkpoint, with the numbers of an uninterrupted run.
"""

import argparse

from cliptail_jax.host.interrupts import exit_on_signal
from cliptail_jax.programs.command_line import add_workdir, results_path

CONFIGS = ("sup", "clip", "dino")


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_workdir(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace another config's run in the work directory")


def main(options: argparse.Namespace) -> None:
    exit_on_signal()
    workdir = results_path(options.workdir)
    from cliptail_jax.jobs.train import train_command  # slow to import

    train_command(options.config, workdir, options.overwrite)
