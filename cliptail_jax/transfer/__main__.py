"""Measure trained models by transfer: linear probes, few-shot episodes and fine-tuning on other sets.

python -m cliptail_jax.transfer --config=configs/transfer.py:models=runs/sup+runs/clip,sets=cifar100+dtd --workdir=runs/transfer
"""

import functools
from pathlib import Path

from ml_collections import ConfigDict

from cliptail_jax.config import fields
from cliptail_jax.config.program import run_with_config
from cliptail_jax.interrupts import exit_on_signal, ignore_closed_terminal
from cliptail_jax.transfer.configuration import Transfer


def main(config: ConfigDict, workdir: Path) -> None:
    # These import jax, which --help does not need.
    from cliptail_jax.parallel import distributed
    from cliptail_jax.runs.lock import sole_writer
    from cliptail_jax.transfer.program import TransferFailed, print_report, transfer

    exit_on_signal()
    ignore_closed_terminal()
    distributed.initialize()
    with sole_writer(workdir):
        try:
            transfer(config, workdir)
        except TransferFailed:
            print_report(workdir)
            raise
    print_report(workdir)


if __name__ == "__main__":
    run_with_config(main, functools.partial(fields.describe, Transfer()), ("transfer",))
