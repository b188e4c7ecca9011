"""The evaluations of a run, in training and alone: on which sets, with which class embeddings, to which files."""

import functools
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Int
from ml_collections import ConfigDict

from cliptail_jax.concepts.frequency_tables import write_frequency
from cliptail_jax.concepts.templates import templates
from cliptail_jax.config.training import base_config
from cliptail_jax.curation.variant import Variant, make_variant, random_classes
from cliptail_jax.datasets.source import open_source
from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.counting import check_any_read, make_evaluate_batch, predict, with_progress
from cliptail_jax.evaluation.heads import supervised_heads, zero_shot_heads
from cliptail_jax.evaluation.results import evaluation_settings, head_mid_tail, summarize, write_measured
from cliptail_jax.evaluation.sets import OpenedSet, open_set, prompt_names
from cliptail_jax.input.pipeline import ReadText, UnreadableImages, evaluation_batches
from cliptail_jax.parallel.sharding import local_rows
from cliptail_jax.pretrained.class_head import join_keys
from cliptail_jax.runs import evaluation_directory
from cliptail_jax.training.state import TrainState

Evaluate = Callable[..., dict[str, dict[str, Any]]]  # of a state, its epoch, and when to give up


def make_evaluate(
    config: ConfigDict,
    workdir: Path,
    mesh: Mesh,
    graphdef: nnx.GraphDef,
    class_names: tuple[str, ...],
    frequency: Int[np.ndarray, "class"],
    read: ReadText | None,
    other_head: str = "",
) -> Evaluate:
    """A function that evaluates a state on all of `config.eval.sets`, writes their files, and returns their summaries.

    `frequency` is the training variant's, in the order of `class_names`, with which everything is correlated; `read` is
    for the prompts of a contrastive run what the text tower takes; `other_head` an .npy in place of a supervised run's.
    """
    if not config.eval.sets:
        return lambda *_: {}
    sets = {name: open_run_set(name, config, class_names) for name in config.eval.sets}
    columns = {name: columns_of(opened.variant.class_names, class_names) for name, opened in sets.items()}
    known = {name: None if rows is None else frequency[rows] for name, rows in columns.items()}
    class_groups = {
        name: head_mid_tail(config, opened.variant.class_names, known[name]) for name, opened in sets.items()
    }
    evaluate_batch = make_evaluate_batch(graphdef, mesh)
    if config.objective == "contrastive":
        class_heads = zero_shot_heads(config, sets, graphdef, mesh, read)
    else:
        class_heads = supervised_heads(sets, columns, graphdef, other_head)
    evaluation_input = {
        name: evaluation_batches(opened.variant, config, local_rows(config.eval.batch_size))
        for name, opened in sets.items()
    }
    unreadable = {name: UnreadableImages(opened.variant, config.data.max_unreadable) for name, opened in sets.items()}

    def evaluate(
        state: TrainState, epoch: float, give_up: Callable[[], bool] = lambda: False
    ) -> dict[str, dict[str, Any]]:
        """Nothing is written and {} returned where `give_up` says so before the end."""
        results = {}
        for name, head in class_heads(state).items():
            variant = sets[name].variant
            batches = with_progress(evaluation_input[name](), variant, config)
            batches = itertools.takewhile(lambda _: not give_up(), batches)
            evaluate_one = functools.partial(evaluate_batch, bias=head.bias)
            measured = predict(
                evaluate_one, state.parts(), head.embeddings, batches, variant, unreadable[name], config.eval, mesh
            )
            if give_up():
                return {}
            check_any_read(measured.counts, name)
            settings = evaluation_settings(config) | ({"head": other_head} if other_head else {})
            summary = {"step": int(state.step), "epoch": epoch, "settings": settings}
            summary |= summarize(
                measured.counts, known[name], class_groups[name], measured.collapse, measured.similarities
            )
            results[name] = summary, measured
        for name, (summary, measured) in results.items():
            if jax.process_index() == 0:
                directory = evaluation_directory(workdir, name)
                names, table = sets[name].variant.class_names, directory / "class_frequency.tsv"
                if names != class_names and known[name] is not None:
                    directory.mkdir(parents=True, exist_ok=True)
                    write_frequency(table, names, known[name])
                else:  # an earlier evaluation may have been on other classes
                    table.unlink(missing_ok=True)
                write_measured(directory, summary, measured, class_groups[name])
        return {name: summary for name, (summary, _) in results.items()}

    return evaluate


def open_run_set(name: str, config: ConfigDict, class_names: tuple[str, ...]) -> OpenedSet:
    """The set of a run: that of a short name with all its classes, or 'name:split' with those of the run, or some of them."""
    if ":" not in name:
        return open_set(name, config.data.data_dir)
    if chosen := config.eval.random_classes:
        if chosen > len(class_names):
            raise UserError(f"eval.random_classes={chosen}, but the run has {len(class_names)} classes")
        class_names = tuple(class_names[c] for c in random_classes(len(class_names), chosen, config.data.seed))
    variant = evaluation_variant(name, config, class_names)
    return OpenedSet(name, variant, prompt_names(variant), templates("photo"))


def evaluation_variant(name: str, config: ConfigDict, class_names: tuple[str, ...]) -> Variant:
    """All records of the set 'name:split' whose class is one of the training classes, under the training labels."""
    source_name, _, split = name.rpartition(":")
    names_file = config.data.class_names if source_name == config.data.name else ""
    source = open_source(source_name, config.data.data_dir, split, names_file)
    absent = [c for c in class_names if c not in source.class_names]
    if absent:
        raise UserError(f"eval.sets: '{name}' lacks {len(absent)} of the training classes, such as '{absent[0]}'")
    data = base_config().data  # all records, no captions
    data.classes.names = () if class_names == source.class_names else class_names
    return make_variant(source, data)


def columns_of(names: tuple[str, ...], class_names: tuple[str, ...]) -> Int[np.ndarray, "class"] | None:
    """Where a set's classes are among the run's; None where one is not. ImageNet's may have either of their names."""
    keys, run_keys = names, class_names
    if not set(names) <= set(class_names):
        keys, run_keys = join_keys(names), join_keys(class_names)
    column_of = {key: column for column, key in enumerate(run_keys)}
    return np.array([column_of[key] for key in keys]) if set(keys) <= column_of.keys() else None
