"""Train the runs of a study, test its claims, and report:

    python -m cliptail_jax.study --config=configs/study/quickstart.py --workdir=runs/quickstart

Run it again and it goes on where it was stopped; finished runs are not repeated. `--launch=print` prints a command for each
run in place of training them here; `--list` alone prints all runs of the paper, which configs/study/paper.py makes studies of.

A study whose config has `seeds` trains its runs with so many seeds, one after the other: from `seed` on, which all of them
refer to, in seed_0/, seed_1/, ... `--budget=MINUTES` begins no further seed that would not be done by then. A study whose
config has `transfer`, a config of cliptail_jax.transfer, also measures by that the runs that are its `models`, or else all.
"""

import sys
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

from cliptail_jax.config.program import run_with_config, stop
from cliptail_jax.errors import UserError
from cliptail_jax.parallel import distributed
from cliptail_jax.study.launch import train_commands
from cliptail_jax.study.run import check_study, run_study


def main(study: ConfigDict, workdir: Path) -> None:
    if flags.FLAGS.launch == "print":
        check_study(study)
        print("\n".join(train_commands(study, workdir)))
        return
    distributed.initialize()
    run_study(study, workdir, flags.FLAGS.overwrite, flags.FLAGS.budget)


def list_runs() -> None:
    try:
        from configs.catalogue import page  # what the paper's study alone needs
    except ModuleNotFoundError:
        stop(UserError("--list: run it from the clone's root: configs/ is there"))
    print(page(), end="")


if __name__ == "__main__":
    if "--list" in sys.argv:
        sys.exit(list_runs())
    flags.DEFINE_enum("launch", "here", ["here", "print"], "Train the runs here, or print a command for each")
    flags.DEFINE_bool("overwrite", False, "Replace runs of other configs in the work directory")
    flags.DEFINE_float("budget", 0, "Minutes: begin no further seed that would not be done by then", lower_bound=0)
    run_with_config(main)
