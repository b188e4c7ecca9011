"""Evaluates a trained run on sets of its config, or published models."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
from flax import nnx
from ml_collections import ConfigDict

from cliptail_jax.config import fields, zero_shot
from cliptail_jax.config.training import Data
from cliptail_jax.curation.variant import caption_chunks, open_variant
from cliptail_jax.datasets.build import draw_missing
from cliptail_jax.evaluation.published import evaluate_published, model_directories
from cliptail_jax.evaluation.run import make_evaluate
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import write_text
from cliptail_jax.host.interrupts import ignore_closed_terminal
from cliptail_jax.host.text import shortened_list
from cliptail_jax.input.pipeline import num_steps_per_epoch
from cliptail_jax.objectives import FIELDS, objective_class, own_config, typed_config
from cliptail_jax.objectives.own import exits_are_errors
from cliptail_jax.parallel import distributed
from cliptail_jax.parallel.sharding import check_batch, make_mesh
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.report import published
from cliptail_jax.report.evaluation import decile_table, table
from cliptail_jax.report.published import TABLES, check_tables, write_sheet
from cliptail_jax.results.run import Run
from cliptail_jax.runs.console import last_lines, log_line
from cliptail_jax.runs.directory import difference_to
from cliptail_jax.runs.evaluations import read_arrays
from cliptail_jax.runs.files import number_of_records, read_config
from cliptail_jax.runs.lock import sole_writer
from cliptail_jax.runs.on_dask import run_models_on_dask

MAX_NAMES = 5  # of skipped models in the last line


def evaluate_command(options: argparse.Namespace, workdir: Path) -> None:
    """Evaluate the run or the published models that the flags of `cliptail evaluate` name, and print their tables."""
    ignore_closed_terminal()
    distributed.initialize()
    config = options.config
    if options.sets is not None:
        config.eval.sets = tuple(options.sets.split(","))
    is_published, on_dask = config.get("objective") == zero_shot.MODE, options.runner == "dask"
    if on_dask and not (is_published and len(config.eval.models) > 1):
        raise UserError("--runner=dask is for several published models: leave it out")
    if is_published:
        sections, failures = zero_shot.typed_config(config), {}
        if on_dask:
            directory_of = model_directories(sections.eval.models, workdir)
            failures = run_models_on_dask(directory_of, "eval.models", workdir, options.scheduler)
        with sole_writer(workdir):
            evaluate_models(sections, workdir, failures)
    else:
        evaluate_run(config, workdir)
    if jax.process_index() == 0:
        print(f"\n{last_lines(workdir)}")


def evaluate_run(config: ConfigDict, workdir: Path) -> None:
    """Evaluate a run, and print its numbers."""
    summaries = evaluate(config, workdir)
    if jax.process_index() == 0:
        last = next(reversed(summaries.values()))
        print(f"{workdir}, step {last['step']:,} (epoch {last['epoch']:g})\n\n{table(summaries)}")
        for name in summaries:
            if "decile_captions" in (arrays := read_arrays(workdir, name)):
                print(f"\n{name}\n{decile_table(arrays)}")


@exits_are_errors()
def evaluate(config: ConfigDict, workdir: Path) -> dict[str, dict[str, Any]]:
    """Evaluate the run in `workdir` under `config.eval`. Returns the summaries by set; writes them and the arrays.

    Raises UserError if `config` cannot evaluate the run, or names no set.
    """
    config = typed_config(config)
    if not config.eval.sets:
        raise UserError(
            "eval.sets is empty: name the sets to evaluate on, such as --sets=cifar100 or --sets=cifar100:test"
        )
    run_values = read_config(workdir)
    if run_values is None:
        raise UserError(f"there is no run in {workdir}: train one there first, or give the --workdir of one")
    run = objective_class(config.objective).evaluated_run(own_config(config), run_values)
    if difference := difference_to(workdir, fields.plain(config) | run.trained_with, FIELDS):
        raise UserError(
            f"{workdir} contains the run of another config ({difference}); give the one it was trained with"
        )
    for warning in run.warnings:
        log_line(f"warning: {warning}")
    data = config.data
    mesh = make_mesh(config.mesh)
    check_batch(mesh, config.eval.batch_size, "eval.batch_size")

    draw_missing(config.eval.sets, data.data_dir)
    with sole_writer(workdir):
        model = open_run(workdir, mesh=mesh)
        graphdef, state = nnx.split(model.model)
        evaluate_model = make_evaluate(
            graphdef,
            mesh,
            workdir=workdir,
            options=config.eval,
            data=data,
            preprocess=model.preprocess,
            class_names=model.class_names,
            frequency=model.class_frequency,
            read_prompts=model.tokenizer if model.has_prompts else None,
            training_captions=lambda: captions_of_training(workdir, data),
            other_head=run.head,
            own_prior=objective_class(config.objective).subtracted_prior(own_config(config), model.class_frequency),
        )
        epoch = model.step / num_steps_per_epoch(number_of_records(workdir), config.batch_size, data.drop_last)
        summaries = evaluate_model((state,), model.step, epoch)
    return summaries


def captions_of_training(workdir: Path, data: Data) -> Iterator[list[str]]:
    """The captions of the run's training data, in chunks. Raises UserError if the data have changed or are missing."""
    variant = open_variant(data)
    Run(workdir).check_data(variant.fingerprint())
    return caption_chunks(variant)


def evaluate_models(
    config: zero_shot.ZeroShot, workdir: Path, failures: Mapping[str, str] = {}
) -> list[dict[str, Any]]:
    """Evaluate published models, print the table and, of several models, write it. Returns the summaries.

    `failures` are the reasons why models could not be evaluated elsewhere, by name.

    Raises UserError as `evaluate_published`, and at the end if models were skipped.
    """
    check_tables(workdir)
    models, summaries, reasons = evaluate_published(config, workdir, failures)
    names = list(dict.fromkeys(config.eval.models))
    if summaries and jax.process_index() == 0:
        print(published.table(summaries), end="")
        if len(names) > 1:
            table_path, sheet_path = (workdir / name for name in TABLES)
            write_text(table_path, published.table(summaries))
            write_sheet(models, summaries, sheet_path)
    if reasons:
        reason = "" if len(names) > 1 else f": {reasons[names[0]]}"
        raise UserError(
            f"{len(reasons)} of {len(names)} models skipped ({shortened_list(list(reasons), MAX_NAMES)}){reason}"
        )
    return summaries
