"""Trains three runs: `python -m tests.study.train_three WORKDIR DATA_DIR CORE [CORE]`, two at the same time on two cores."""

import os
import sys
from pathlib import Path

from cliptail_jax.objectives import typed_config
from cliptail_jax.study.places import Place
from cliptail_jax.study.training import train_runs
from configs import sup
from tests.tiny_runs import tiny

EPOCHS = 8  # 24 steps


def main(workdir, data_dir, *cores):
    cores = list(map(int, cores))
    os.sched_setaffinity(0, cores)
    configs = {}
    for seed in (0, 1, 2):
        config = configs[f"run_{seed}"] = tiny(sup, data_dir)
        config.seed, config.total_epochs, config.eval.every_epochs = seed, EPOCHS, EPOCHS
        config.checkpoint.every_steps = 4
    configs = {name: typed_config(config) for name, config in configs.items()}
    failures = {}
    places = [Place()] * len(cores) if len(cores) > 1 else []
    train_runs(configs, Path(workdir), False, places, failures)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main(*sys.argv[1:])
