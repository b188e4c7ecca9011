"""Measure trained models by transfer: linear probes, few-shot episodes and fine-tuning on other sets.

python -m cliptail_jax.transfer --config=configs/transfer.py:models=runs/sup+runs/clip,sets=cifar100+dtd --workdir=runs/transfer

With `--runner=dask`, each model is transferred by a worker of a Dask cluster, that of `--scheduler=ADDRESS` or one that is
started here.
"""

from absl import flags

from cliptail_jax.config.program import define_config, define_runner, run_with_config

if __name__ == "__main__":  # before the slow imports, which --help does not need
    define_runner()
    define_config("transfer")

import functools
from pathlib import Path

from ml_collections import ConfigDict

from cliptail_jax.config import fields
from cliptail_jax.host.interrupts import exit_on_signal, ignore_closed_terminal
from cliptail_jax.transfer.configuration import TransferConfig, typed_config


def main(config: ConfigDict, workdir: Path) -> None:
    # These import jax, which processes that load images do not need.
    from cliptail_jax.parallel import distributed
    from cliptail_jax.pretrained.hub import directories
    from cliptail_jax.runs.lock import sole_writer
    from cliptail_jax.runs.on_dask import run_models_on_dask
    from cliptail_jax.transfer.program import TransferFailed, add_results, print_report, transfer

    exit_on_signal()
    ignore_closed_terminal()
    distributed.initialize()
    config, failures = typed_config(config), {}
    with sole_writer(workdir):
        if flags.FLAGS.runner == "dask":
            directory_of = directories(config.models, workdir / "models")
            failures = run_models_on_dask(directory_of, "models", workdir, flags.FLAGS.scheduler)
            for of_model in directory_of.values():
                add_results(workdir, of_model)
        try:
            transfer(config, workdir, failures)
        except TransferFailed:
            print_report(workdir)
            raise
    print_report(workdir)


if __name__ == "__main__":
    run_with_config(main, functools.partial(fields.describe, TransferConfig()))
