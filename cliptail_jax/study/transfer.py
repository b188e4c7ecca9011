"""A transfer and its report."""

from collections.abc import Mapping
from pathlib import Path

import jax

from cliptail_jax.report.transfers import write_report
from cliptail_jax.results.transfers import Transfer
from cliptail_jax.transfer.configuration import TransferConfig
from cliptail_jax.transfer.program import TransferFailed, transfer
from cliptail_jax.transfer.sets import transfer_set


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
