"""Train one model:

    cliptail train sup:data=glyphs_lt --workdir=runs/sup

The same command continues an interrupted run from its last checkpoint, with the numbers of an uninterrupted run.
"""

import argparse

from cliptail_jax.host.interrupts import exit_on_signal, ignore_closed_terminal
from cliptail_jax.programs.command_line import add_workdir, results_path

CONFIGS = ("sup", "clip", "dino")


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_workdir(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace another config's run in the work directory")


def main(options: argparse.Namespace) -> None:
    exit_on_signal()
    from cliptail_jax.jobs.train import train
    from cliptail_jax.parallel import distributed
    from cliptail_jax.runs.console import last_lines, log_line

    workdir = results_path(options.workdir)
    ignore_closed_terminal()
    distributed.initialize()
    train(options.config, workdir, options.overwrite)
    for line in last_lines(workdir).splitlines():
        log_line(line)
