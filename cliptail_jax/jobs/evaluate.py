"""Evaluates a trained run on sets of its config."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flax import nnx
from ml_collections import ConfigDict

from cliptail_jax.config import fields
from cliptail_jax.config.training import Data
from cliptail_jax.curation.variant import caption_chunks, open_variant
from cliptail_jax.datasets.build import draw_missing
from cliptail_jax.evaluation.run import make_evaluate
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.pipeline import num_steps_per_epoch
from cliptail_jax.objectives import FIELDS, objective_class, own_config, typed_config
from cliptail_jax.parallel.sharding import check_batch, make_mesh
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.results.run import Run
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.directory import difference_to
from cliptail_jax.runs.files import number_of_records, read_config
from cliptail_jax.runs.lock import sole_writer


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
