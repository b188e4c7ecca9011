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
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cliptail_jax.config import fields, zero_shot
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import work_path, write_text
from cliptail_jax.host.interrupts import exit_on_signal, ignore_closed_terminal
from cliptail_jax.host.text import shortened_list
from cliptail_jax.programs.command_line import add_runner, add_workdir, check_runner, results_path

CONFIGS = ("sup", "clip", "zero_shot")
MAX_NAMES = 5  # of skipped models in the last line


def add_flags(parser: argparse.ArgumentParser) -> None:
    add_workdir(parser)
    parser.add_argument(
        "--list", action="store_true", help="print the lists of published models, or those of a config, and exit"
    )
    parser.add_argument("--sets", help="sets to evaluate on, as A,B; the default is the config's eval.sets")
    add_runner(parser)


def main(options: argparse.Namespace) -> None:
    if options.list:
        return print_models(options.config)
    exit_on_signal()
    from cliptail_jax.parallel import distributed
    from cliptail_jax.runs.console import last_lines
    from cliptail_jax.runs.lock import sole_writer

    check_runner(options)
    if not options.workdir:
        raise UserError("--workdir is missing: give the directory of a run, or one for the results")
    config, workdir = options.config, results_path(options.workdir)
    ignore_closed_terminal()
    distributed.initialize()
    if options.sets is not None:
        config.eval.sets = tuple(options.sets.split(","))
    if config.get("objective") == zero_shot.MODE:
        published, on_dask = zero_shot.typed_config(config), options.runner == "dask"
        failures = failures_on_dask(published.eval.models, workdir, options.scheduler) if on_dask else {}
        with sole_writer(workdir):
            evaluate_models(published, workdir, failures)
    elif options.runner == "dask":
        raise UserError("--runner=dask is for several published models: leave it out")
    else:
        evaluate_run(config, workdir)
    import jax

    if jax.process_index() == 0:
        print(f"\n{last_lines(workdir)}")


def evaluate_run(config: ConfigDict, workdir: Path) -> None:
    """Evaluate a run, and print its numbers."""
    import jax

    from cliptail_jax.jobs.evaluate import evaluate
    from cliptail_jax.report.evaluation import decile_table, table
    from cliptail_jax.runs.evaluations import read_arrays

    summaries = evaluate(config, workdir)
    if jax.process_index() == 0:
        last = next(reversed(summaries.values()))
        print(f"{workdir}, step {last['step']:,} (epoch {last['epoch']:g})\n\n{table(summaries)}")
        for name in summaries:
            if "decile_captions" in (arrays := read_arrays(workdir, name)):
                print(f"\n{name}\n{decile_table(arrays)}")


def evaluate_models(
    config: zero_shot.ZeroShot, workdir: Path, failures: Mapping[str, str] = {}
) -> list[dict[str, Any]]:
    """Evaluate published models, print the table and, of several models, write it. Returns the summaries.

    `failures` are the reasons why models could not be evaluated elsewhere, by name.

    Raises UserError as `evaluate_published`, and at the end if models were skipped.
    """
    import jax

    from cliptail_jax.evaluation.published import evaluate_published
    from cliptail_jax.report.published import TABLES, check_tables, markdown, write_sheet

    check_tables(workdir)
    models, summaries, skipped = evaluate_published(config, workdir, failures)
    names = list(dict.fromkeys(config.eval.models))
    if summaries and jax.process_index() == 0:
        print(markdown(summaries), end="")
        if len(names) > 1:
            table, sheet = (workdir / name for name in TABLES)
            write_text(table, markdown(summaries))
            write_sheet(models, summaries, sheet)
    if skipped:
        reason = "" if len(names) > 1 else f": {skipped[names[0]]}"
        raise UserError(
            f"{len(skipped)} of {len(names)} models skipped ({shortened_list(list(skipped), MAX_NAMES)}){reason}"
        )
    return summaries


def failures_on_dask(models: Sequence[str], workdir: Path, scheduler: str) -> dict[str, str]:
    """Evaluate models on a Dask cluster. Returns the reasons for those that failed, by name. Raises UserError for one model."""
    from cliptail_jax.evaluation.published import model_directories
    from cliptail_jax.runs.on_dask import run_models_on_dask

    if len(models) < 2:
        raise UserError("--runner=dask is for several published models: leave it out")
    return run_models_on_dask(model_directories(models, workdir), "eval.models", workdir, scheduler)


def default_config(options: argparse.Namespace) -> ConfigDict | None:
    """The config of the run in --workdir.

    Raises UserError if there is no run, or none that this program has trained or evaluated.
    """
    if options.list or not options.workdir:
        return None
    from cliptail_jax.objectives import base_config
    from cliptail_jax.runs.files import read_config

    values = read_config(work_path(options.workdir))
    if values is None:
        raise UserError(
            f"there is no run in {options.workdir}, and the config is missing: give the --workdir of a run, or a config"
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


def print_models(config: ConfigDict | None) -> None:
    """Print all lists of published models, or the models that a config evaluates."""
    from cliptail_jax.pretrained.published import LISTS, listed_models
    from cliptail_jax.report.published import model_lists, models_named

    if config is None:
        lists = {f"configs/zero_shot_all.py:list={name}": listed_models(name) for name in LISTS}
    elif config.get("objective") == zero_shot.MODE:
        lists = {"the config": models_named(config.eval.models)}
    else:
        raise UserError("--list prints lists of published models, and this config does not evaluate any")
    print(model_lists(lists), end="")
