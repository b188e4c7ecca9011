"""Evaluate a run on any sets, templates or class ranking:

    cliptail evaluate --workdir=runs/clip --sets=glyphs:test,cifar100 --config.eval.templates=openai80

`--sets`, by default the config's `eval.sets`, takes short names of `cliptail_jax.datasets.known_sources`, with all classes
of the set; NAME:SPLIT, with the classes of the run; or for retrieval NAME:SPLIT@FIELD. The program evaluates the newest valid
checkpoint, prints a table, and adds to the files under `eval/` as training does. Without a config, it takes the one in the
run's config.json. A config may differ from that only in fields that change no trained number, such as those of `eval`, the
location of the data and the mesh. For a supervised run, `head.init` replaces the trained head.

Published CLIPs are evaluated zero-shot (see `cliptail_jax.evaluation.published`):

    cliptail evaluate zero_shot:model=RN50-quickgelu/cc12m,sets=imagenet+imagenet_v2 --workdir=runs/rn50

With `--runner=dask`, a worker of a Dask cluster evaluates each model: the cluster of `--scheduler=ADDRESS`, or one that starts
here. `--list` prints the published models of configs/zero_shot_all.py or, with a config, its models.
"""

import argparse

from ml_collections import ConfigDict

from cliptail_jax.config import fields, zero_shot
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import check_digests, work_path
from cliptail_jax.host.interrupts import exit_on_signal
from cliptail_jax.programs.command_line import add_runner, add_workdir, check_runner, results_path

CONFIGS = ("sup", "clip", "zero_shot")


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_workdir(parser)
    parser.add_argument(
        "--list", action="store_true", help="print the lists of published models, or those of a config, and exit"
    )
    parser.add_argument("--sets", help="sets to evaluate on, as A,B; the default is the config's eval.sets")
    add_runner(parser)


def main(options: argparse.Namespace) -> None:
    if options.list:
        from cliptail_jax.report.published import model_lists

        return print(model_lists(options.config), end="")
    exit_on_signal()
    check_runner(options)
    if not options.workdir:
        raise UserError("--workdir is missing: give the directory of a run, or one for the results")
    workdir = results_path(options.workdir)
    from cliptail_jax.jobs.evaluate import evaluate_command  # slow to import

    evaluate_command(options, workdir)


def default_config(options: argparse.Namespace) -> ConfigDict | None:
    """The config of the run in --workdir.

    Raises UserError if there is no run, or none that this program has trained or evaluated; if its files are damaged; or if it
    was trained with code that the command line does not name.
    """
    if options.list or not options.workdir:
        return None
    from cliptail_jax.objectives import base_config, is_own
    from cliptail_jax.runs.files import read_config

    workdir = work_path(options.workdir)
    values = read_config(workdir)
    if values is None:
        raise UserError(
            f"there is no run in {options.workdir}, and the config is missing: give the --workdir of a run, or a config"
        )
    check_digests(workdir)
    objective = values["objective"]
    if is_own(objective) and "objective" not in options.given_fields:
        raise UserError(
            f"{options.workdir} was trained with {objective}, code that this program runs only if you name it: add "
            f"--config.objective={objective} if you trust it"
        )
    config = zero_shot.base_config() if values.get("objective") == zero_shot.MODE else base_config()
    try:
        return fields.with_values(config, values, options.workdir)
    except UserError as error:
        raise UserError(f"{error}: give a config") from None


def describe_config(config: ConfigDict | None) -> str:
    """The fields of a config for published models, or else of a training config, with their values."""
    if config is not None and config.get("objective") == zero_shot.MODE:
        return fields.describe(zero_shot.ZeroShot(), config)
    from cliptail_jax.objectives import describe_config

    return describe_config(config)
