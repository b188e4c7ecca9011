"""Transfers models as the flags of `cliptail transfer` say, and reports the results."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import jax

from cliptail_jax.host.interrupts import ignore_closed_terminal
from cliptail_jax.parallel import distributed
from cliptail_jax.pretrained.hub import directories
from cliptail_jax.report.transfers import report_text, write_report
from cliptail_jax.results.transfers import Transfer
from cliptail_jax.runs.lock import sole_writer
from cliptail_jax.runs.on_dask import run_models_on_dask
from cliptail_jax.transfer.configuration import TransferConfig, typed_config
from cliptail_jax.transfer.program import TransferFailed, add_results, transfer
from cliptail_jax.transfer.sets import transfer_set


def transfer_command(options: argparse.Namespace, workdir: Path) -> None:
    """Transfer models as the flags of `cliptail transfer` say, and print the report. Raises TransferFailed if a part failed."""
    ignore_closed_terminal()
    distributed.initialize()
    config, failures = typed_config(options.config), {}
    with sole_writer(workdir):
        if options.runner == "dask":
            directory_of = directories(config.models, workdir / "models")
            failures = run_models_on_dask(directory_of, "models", workdir, options.scheduler)
            for directory in directory_of.values():
                add_results(workdir, directory)
        try:
            transfer_and_report(config, workdir, failures)
            failure = None
        except TransferFailed as error:
            failure = error
    if jax.process_index() == 0:
        print(report_text(workdir))
    if failure:
        raise failure


def transfer_and_report(config: TransferConfig, workdir: Path, failures: Mapping[str, str] = {}) -> list[Transfer]:
    """Transfer the models of a config, and write report.md and report.html, even if parts fail.

    Arguments and errors are those of `cliptail_jax.transfer.program.transfer`.
    """
    try:
        results, transfer_error = transfer(config, workdir, failures), None
    except TransferFailed as error:
        results, transfer_error = error.results, error
    failures = transfer_error.failures if transfer_error else {}
    if jax.process_index() == 0:
        sets = [transfer_set(name) for name in dict.fromkeys(config.sets) if name not in failures]
        write_report(workdir, results, sets, failures)
    if transfer_error:
        raise transfer_error
    return results
