"""Evaluate a run on any sets, templates or class ranking:

    python -m cliptail_jax.evaluate --workdir=runs/clip --sets=glyphs:test,cifar100 --config.eval.templates=openai80

`--sets`, by default the config's `eval.sets`, takes short names of `cliptail_jax.datasets.known_sources`, with all classes
of the set, NAME:SPLIT, with the classes of the run, or for retrieval NAME:SPLIT@FIELD. The program evaluates the newest valid
checkpoint, prints a table, and adds to the files under `eval/` as training does. Without `--config`, the config is the one in
the run's config.json. It may differ from the run's only in fields that change no trained number, such as those of `eval`, the
location of the data and the mesh. For a supervised run, `head.init` replaces the trained head.

Published CLIPs are evaluated zero-shot (see `cliptail_jax.evaluation.published`):

    python -m cliptail_jax.evaluate --config=configs/zero_shot.py:model=RN50-quickgelu/cc12m,sets=imagenet+imagenet_v2 \\
        --workdir=runs/rn50

With `--runner=dask`, a worker of a Dask cluster evaluates each model: the cluster of `--scheduler=ADDRESS`, or one that starts
here. `--list` prints the published models of configs/zero_shot_all.py or, with --config, the models of that config.
"""

import argparse
import sys

from absl import flags

from cliptail_jax.config.program import define_config, define_runner, run_with_config

if __name__ == "__main__":  # before the slow imports, which --help does not need
    flags.DEFINE_bool("list", False, "Print the lists of published models, or those of a --config, and exit")
    flags.DEFINE_list("sets", None, "Sets to evaluate on, as A,B; the default is the config's eval.sets")
    define_runner()
    define_config("sup", "clip", "zero_shot")

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from ml_collections import ConfigDict

from cliptail_jax.config import fields, zero_shot
from cliptail_jax.config.program import config_named, config_values, with_config_flag
from cliptail_jax.config.training import Data
from cliptail_jax.curation.variant import caption_chunks, open_variant
from cliptail_jax.evaluation.published import evaluate_published, model_directories
from cliptail_jax.evaluation.run import make_evaluate
from cliptail_jax.host.errors import UserError, command_line
from cliptail_jax.host.files import work_path
from cliptail_jax.host.interrupts import exit_on_signal, ignore_closed_terminal
from cliptail_jax.input.pipeline import num_steps_per_epoch
from cliptail_jax.metrics.measures import title_of
from cliptail_jax.metrics.retrieval import CUTOFFS
from cliptail_jax.objectives import FIELDS, OBJECTIVES, base_config, describe_config, own_config, typed_config
from cliptail_jax.parallel import distributed
from cliptail_jax.parallel.sharding import check_batch, make_mesh
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.pretrained.published import LISTS, listed_models
from cliptail_jax.report.published import listed, model_lists, summary_cell
from cliptail_jax.report.text_tables import pad_columns
from cliptail_jax.results.run import Run
from cliptail_jax.runs.console import last_lines, log_line
from cliptail_jax.runs.directory import difference_to
from cliptail_jax.runs.evaluations import read_arrays
from cliptail_jax.runs.files import number_of_records, read_config
from cliptail_jax.runs.lock import sole_writer
from cliptail_jax.runs.on_dask import run_models_on_dask


def evaluate(config: ConfigDict, workdir: Path) -> dict[str, dict[str, Any]]:
    """Evaluate the run in `workdir` under `config.eval`. Returns the summaries by set, which are also written with their arrays.

    Raises UserError unless `config` may evaluate the run and names a set to evaluate it on.
    """
    config = typed_config(config)
    if not config.eval.sets:
        raise UserError(
            "eval.sets is empty: name the sets to evaluate on, such as --sets=cifar100 or --sets=cifar100:test"
        )
    trained = read_config(workdir)
    if trained is None:
        raise UserError(f"there is no run in {workdir}: train one there first, or give the --workdir of one")
    run = OBJECTIVES[config.objective].evaluated_run(own_config(config), trained)
    if difference := difference_to(workdir, fields.plain(config) | run.trained_with, FIELDS):
        raise UserError(
            f"{workdir} contains the run of another config ({difference}); give the one it was trained with"
        )
    for warning in run.warnings:
        log_line(f"warning: {warning}")
    data = config.data
    mesh = make_mesh(config.mesh)
    check_batch(mesh, config.eval.batch_size, "eval.batch_size")

    with sole_writer(workdir):
        opened = open_run(workdir, mesh=mesh)
        graphdef, state = nnx.split(opened.model)
        evaluate_model = make_evaluate(
            graphdef,
            mesh,
            workdir=workdir,
            options=config.eval,
            data=data,
            preprocess=opened.preprocess,
            class_names=opened.class_names,
            frequency=opened.class_frequency,
            read_prompts=opened.tokenizer if opened.has_prompts else None,
            training_captions=lambda: captions_of_training(workdir, data),
            other_head=run.head,
        )
        epoch = opened.step / num_steps_per_epoch(number_of_records(workdir), config.batch_size, data.drop_last)
        summaries = evaluate_model((state,), opened.step, epoch)
    if jax.process_index() == 0:
        print(f"{workdir}, step {opened.step:,} (epoch {epoch:g})\n\n{table(summaries)}")
        for name in summaries:
            if "decile_captions" in (arrays := read_arrays(workdir, name)):
                print(f"\n{name}\n{decile_table(arrays)}")
    return summaries


def captions_of_training(workdir: Path, data: Data) -> Iterator[list[str]]:
    """The captions that the run was trained on, in chunks. Raises UserError if its data have changed or are missing."""
    variant = open_variant(data)
    Run(workdir).check_data(variant.fingerprint())
    return caption_chunks(variant)


def table(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """One line per number, with its 95 % interval if it has one, and one column per set."""
    all_keys = dict.fromkeys(key for summary in summaries.values() for key in summary)
    keys = [
        key
        for key in all_keys
        if key not in ("step", "epoch", "set", "settings") and not key.endswith(("_interval", "_beyond"))
    ]
    rows = [["", *summaries], *([title_of(key), *(summary_cell(s, key) for s in summaries.values())] for key in keys)]
    return "\n".join("  ".join(row).rstrip() for row in pad_columns(rows))


def decile_table(arrays: Mapping[str, np.ndarray]) -> str:
    """Text-to-image recalls, one line per decile of the frequency of captions' rarest words.

    `arrays` are as from `cliptail_jax.metrics.retrieval.by_decile`.
    """
    rows = [["rarest word in training", "captions", *(title_of(f"text_to_image_r{k}") for k in CUTOFFS)]]
    for decile in np.flatnonzero(arrays["decile_captions"]):
        low, high = arrays["decile_frequency"][decile]
        recalls = (arrays[f"decile_r{k}"][decile] for k in CUTOFFS)
        frequency = f"{low:,.0f}" if low == high else f"{low:,.0f} to {high:,.0f}"
        rows.append([frequency, f"{arrays['decile_captions'][decile]:,}", *(f"{recall:.1f}" for recall in recalls)])
    return "\n".join("  ".join(row).rstrip() for row in pad_columns(rows))


def main(config: ConfigDict, workdir: Path) -> None:
    exit_on_signal()
    ignore_closed_terminal()
    distributed.initialize()
    if flags.FLAGS.sets is not None:
        config.eval.sets = tuple(flags.FLAGS.sets)
    published = zero_shot.typed_config(config) if config.get("objective") == zero_shot.MODE else None
    failures = {}
    if flags.FLAGS.runner == "dask":
        if published is None or len(published.eval.models) < 2:
            raise UserError("--runner=dask is for several published models: leave it out")
        directories = model_directories(published.eval.models, workdir)
        failures = run_models_on_dask(directories, "eval.models", workdir, flags.FLAGS.scheduler)
    if published is not None:
        with sole_writer(workdir):
            evaluate_published(published, workdir, failures)
    else:
        evaluate(config, workdir)
    if jax.process_index() == 0:
        print(f"\n{last_lines(workdir)}")


def get_config(workdir: str) -> ConfigDict:
    """The config of the run in a directory: this module is the config file of a command without one.

    Raises UserError if there is no run, or none that this program has trained or evaluated.
    """
    values = read_config(work_path(workdir))
    if values is None:
        raise UserError(
            f"there is no run in {workdir}, and --config is missing: give the --workdir of a run, or a config"
        )
    config = zero_shot.base_config() if values.get("objective") == zero_shot.MODE else base_config()
    try:
        return fields.with_values(config, values, workdir)
    except UserError as error:
        raise UserError(f"{error}: give --config") from None


def with_run_config(argv: list[str]) -> list[str]:
    """The arguments, with the config of the run in --workdir if they name none."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--workdir", "-workdir", default="")
    workdir = parser.parse_known_args(argv)[0].workdir
    if not workdir or config_named(with_config_flag(argv)) or {"-h", "--help"} & set(argv):
        return argv
    return [argv[0], f"--config={__file__}:{workdir}", *argv[1:]]


def describe_fields(config: ConfigDict | None) -> str:
    """The fields of a config for published models, or else of a training config, with their values."""
    of_published = config is not None and config.get("objective") == zero_shot.MODE
    return fields.describe(zero_shot.ZeroShot(), config) if of_published else describe_config(config)


@command_line
def list_models(arguments: list[str]) -> None:
    """Print all lists of published models, or with --config the models that it evaluates."""
    others = with_config_flag(["", *(argument for argument in arguments if argument != "--list")])[1:]
    if not others:
        print(model_lists({f"configs/zero_shot_all.py:list={name}": listed_models(name) for name in LISTS}), end="")
        return
    named = config_named(others)
    if not named or others[1:]:
        raise UserError(f"--list takes only a --config beside it: it is given with {' '.join(others)}")
    values = config_values(others)
    if values.get("objective") != zero_shot.MODE:
        raise UserError(f"--list prints lists of published models: {named} does not evaluate any")
    print(model_lists({named: listed(values["eval.models"])}), end="")


if __name__ == "__main__":
    if "--list" in sys.argv:
        sys.exit(list_models(sys.argv[1:]))
    sys.argv = with_run_config(sys.argv)
    run_with_config(main, describe_fields)
