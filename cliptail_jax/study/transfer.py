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
    """Transfer the models of a config, and write report.md and report.html, also if parts fail.

    Arguments and errors are those of `cliptail_jax.transfer.program.transfer`.
    """
    try:
        results, failed = transfer(config, workdir, failures), None
    except TransferFailed as error:
        results, failed = error.results, error
    failures = failed.failures if failed else {}
    if jax.process_index() == 0:
        sets = [transfer_set(name) for name in dict.fromkeys(config.sets) if name not in failures]
        write_report(workdir, results, sets, failures)
    if failed:
        raise failed
    return results
