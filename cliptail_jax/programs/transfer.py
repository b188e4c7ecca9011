"""Measure features by linear probes, few-shot episodes and fine-tuning on other sets:

    cliptail transfer transfer:models=runs/sup+runs/clip,sets=cifar100+dtd --workdir=runs/transfer

With `--runner=dask`, a worker of a Dask cluster measures each model: the cluster of `--scheduler=ADDRESS`, or one that starts
here.
"""

import argparse

from ml_collections import ConfigDict

from cliptail_jax.host.interrupts import exit_on_signal
from cliptail_jax.programs.command_line import add_runner, add_workdir, check_runner, results_path

CONFIGS = ("transfer",)


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_workdir(parser)
    add_runner(parser)


def main(options: argparse.Namespace) -> None:
    exit_on_signal()
    check_runner(options)
    workdir = results_path(options.workdir)
    from cliptail_jax.transfer.command import transfer_command  # slow to import

    transfer_command(options, workdir)


def describe_config(config: ConfigDict | None) -> str:
    from cliptail_jax.config import fields
    from cliptail_jax.transfer.configuration import TransferConfig

    return fields.describe(TransferConfig(), config)
