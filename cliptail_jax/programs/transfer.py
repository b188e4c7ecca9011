"""Measure trained models by transfer: linear probes, few-shot episodes and fine-tuning on other sets.

    cliptail transfer transfer:models=runs/sup+runs/clip,sets=cifar100+dtd --workdir=runs/transfer

With `--runner=dask`, a worker of a Dask cluster measures each model: the cluster of `--scheduler=ADDRESS`, or one that starts
here.
"""

import argparse

from ml_collections import ConfigDict

from cliptail_jax.host.interrupts import exit_on_signal, ignore_closed_terminal
from cliptail_jax.programs.command_line import add_runner, add_workdir, check_runner, results_path

CONFIGS = ("transfer",)


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_workdir(parser)
    add_runner(parser)


def main(options: argparse.Namespace) -> None:
    exit_on_signal()
    import jax

    from cliptail_jax.parallel import distributed
    from cliptail_jax.pretrained.hub import directories
    from cliptail_jax.report.transfers import report_text
    from cliptail_jax.runs.lock import sole_writer
    from cliptail_jax.runs.on_dask import run_models_on_dask
    from cliptail_jax.study.transfer import transfer_and_report
    from cliptail_jax.transfer.configuration import typed_config
    from cliptail_jax.transfer.program import TransferFailed, add_results

    check_runner(options)
    workdir = results_path(options.workdir)
    ignore_closed_terminal()
    distributed.initialize()
    config, failures = typed_config(options.config), {}
    with sole_writer(workdir):
        if options.runner == "dask":
            directory_of = directories(config.models, workdir / "models")
            failures = run_models_on_dask(directory_of, "models", workdir, options.scheduler)
            for of_model in directory_of.values():
                add_results(workdir, of_model)
        try:
            transfer_and_report(config, workdir, failures)
            failed = None
        except TransferFailed as error:
            failed = error
    if jax.process_index() == 0:
        print(report_text(workdir))
    if failed:
        raise failed


def describe_config(config: ConfigDict | None) -> str:
    from cliptail_jax.config import fields
    from cliptail_jax.transfer.configuration import TransferConfig

    return fields.describe(TransferConfig(), config)
