"""Evaluates a model on sets, with the same pass, numbers and files for every kind of model."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Float, Int
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax.concepts.frequency_tables import write_frequency
from cliptail_jax.config.sections import evaluation_pixels
from cliptail_jax.evaluation.counting import (
    ClassHead,
    FeatureCollector,
    check_counts,
    count,
    estimate_log_prior,
    in_rows,
    make_encode_images,
    make_evaluate_batch,
    make_sum_probabilities,
    pass_over,
)
from cliptail_jax.evaluation.heads import ModelParts
from cliptail_jax.evaluation.ranks import make_rank
from cliptail_jax.evaluation.results import ClassGroups, class_results, write_arrays
from cliptail_jax.evaluation.retrieval import RetrievalTask, rank_pairs
from cliptail_jax.evaluation.sets import OpenedSet
from cliptail_jax.input.pipeline import Batch, Examples, UnreadableImages, evaluation_batches
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.metrics.imbalance import log_prior
from cliptail_jax.metrics.measures import summarize
from cliptail_jax.metrics.neural_collapse import neural_collapse
from cliptail_jax.metrics.retrieval import RetrievalResults
from cliptail_jax.metrics.similarity import ClassSimilarities
from cliptail_jax.parallel.sharding import local_rows
from cliptail_jax.runs.evaluations import add_summary, evaluation_directory


@dataclasses.dataclass(frozen=True)
class Task:
    """The evaluation of a model on a set.

    Attributes:
        opened: the set.
        frequency: the class frequency for correlations, in the set's order; None if it is unknown.
        class_groups: the classes in head, mid and tail; None if there is no ranking of them.
        settings: what the results depend on; they identify a finished evaluation.
        writes_frequency: whether the set's class frequency is written with its results.
    """

    opened: OpenedSet
    frequency: Int[np.ndarray, " class"] | None
    class_groups: ClassGroups | None
    settings: Mapping[str, Any]
    writes_frequency: bool


class Measured(NamedTuple):
    """The result of a pass over a set.

    Attributes:
        counts: as `counting.count_shapes` lists them.
        predicted: of each row of the set; UNKNOWN for unreadable images.
        values: other measures of each class.
        saved: the arrays that are written to .npy files.
    """

    counts: Mapping[str, np.ndarray]
    predicted: Int[np.ndarray, " row"]
    values: Mapping[str, Float[np.ndarray, " class"]]
    saved: Mapping[str, np.ndarray]


class Evaluator:
    """Evaluates models of one definition on sets.

    Args:
        preprocess: of the model's images.
        options: `config.eval`.
        reading: `config.data`; the fields of `cliptail_jax.config.sections.Reading` are used.
        cache: whether images are kept in memory, decoded, from one pass to the next.
        keep_workers: whether worker processes continue from one pass over a set to the next.
    """

    def __init__(
        self,
        graphdef: nnx.GraphDef,
        mesh: Mesh,
        preprocess: Preprocess,
        options: ConfigDict,
        reading: ConfigDict,
        cache: bool = False,
        keep_workers: bool = False,
    ):
        self._mesh, self._preprocess, self._options = mesh, preprocess, options
        self._reading, self._cache, self._keep_workers = reading, cache, keep_workers
        self._evaluate_batch = make_evaluate_batch(graphdef, mesh, preprocess)
        self._sum_probabilities = make_sum_probabilities(graphdef, mesh, preprocess)
        self._encode_images = make_encode_images(graphdef, mesh, preprocess, unit_length=True)
        self._rank = make_rank(mesh)
        self._passes: dict[str, tuple[Callable[[], Iterable[Batch]], UnreadableImages]] = {}

    def measure(
        self, parts: ModelParts, head: ClassHead, task: Task, give_up: Callable[[], bool] = lambda: False
    ) -> Measured | None:
        """A pass over the task's set, or None if `give_up` returns True before its end.

        Raises UserError if no image can be read.
        """
        options, opened, variant = self._options, task.opened, task.opened.variant
        batches, unreadable = self._pass_over(opened.name, variant, give_up)
        if options.logit_adjustment:
            if options.estimate_prior:
                prior = estimate_log_prior(self._sum_probabilities, parts, head, batches(), unreadable, self._mesh)
            else:
                # A class without training images counts as one with a single image: log 0 would place it above all others.
                prior = log_prior(np.maximum(task.frequency, 1))
            # Menon et al. 2021, arXiv 2007.07314
            head = head._replace(adjustment=np.float32(options.logit_adjustment * prior))
        collector = FeatureCollector(variant) if options.neural_collapse or options.save_features else None
        similarities = ClassSimilarities(head.embeddings) if options.similarity else None
        consumers = [consumer.add for consumer in (collector, similarities) if consumer]
        counts, slots = count(self._evaluate_batch, parts, head, batches(), unreadable, consumers, self._mesh)
        if give_up():
            return None
        check_counts(counts, opened.name)
        found = collector.result() if collector else {}
        values = similarities.result()._asdict() if similarities else {}
        if options.neural_collapse:
            values = neural_collapse(found["features"], found["labels"], head.embeddings)._asdict() | values
        saved = {**found, "head": head.embeddings} if options.save_features else {}
        return Measured(counts, in_rows(slots, len(variant), options.batch_size), values, saved)

    def retrieve(
        self,
        parts: ModelParts,
        captions: Float[np.ndarray, "caption dim"],
        task: RetrievalTask,
        give_up: Callable[[], bool] = lambda: False,
    ) -> RetrievalResults | None:
        """A pass over the images of the task's set, and the ranks of images and captions among each other.

        `captions` are the features of the set's captions. Returns None and raises as `measure` does.
        """
        images = task.opened.images
        batches, unreadable = self._pass_over(task.opened.name, images, give_up)
        collector = FeatureCollector(images)
        encode = lambda batch: self._encode_images(parts, batch["images"])  # noqa: E731
        pass_over(encode, batches(), unreadable, [collector.add], self._mesh)
        if give_up():
            return None
        found = collector.result()
        return rank_pairs(self._rank, task, found["features"], found["records"], captions, give_up)

    def _pass_over(
        self, name: str, examples: Examples, give_up: Callable[[], bool]
    ) -> tuple[Callable[[], Iterable[Batch]], UnreadableImages]:
        """The function that starts a pass over a set, which ends early if `give_up` returns True."""
        batch_size = self._options.batch_size
        if name not in self._passes:
            batches = evaluation_batches(
                examples,
                self._preprocess,
                batch_size=batch_size,
                slots=local_rows(batch_size),
                workers=self._reading.workers,
                cache=self._cache,
                keep_workers=self._keep_workers,
                **evaluation_pixels(self._reading),
            )
            self._passes[name] = batches, UnreadableImages(examples, self._reading.max_unreadable)
        start_pass, unreadable = self._passes[name]

        def started() -> Iterable[Batch]:
            steps, title = -(-len(examples) // batch_size), f"evaluating {examples.source.name}"
            batches = tqdm(start_pass(), title, steps, disable=None, leave=False)
            return itertools.takewhile(lambda _: not give_up(), batches)

        return started, unreadable


def write_evaluation(workdir: Path, task: Task, about: Mapping[str, Any], measured: Measured) -> dict[str, Any]:
    """Write the files of an evaluation on a set, and return its summary, which begins with `about`.

    The first process writes. The line in summary.jsonl is written last, so that all other files exist if it does.
    """
    results = class_results(measured.counts, task.frequency, task.class_groups, measured.values)
    summary = {**about, "settings": dict(task.settings), **summarize(results)}
    if jax.process_index() == 0:
        directory = evaluation_directory(workdir, task.opened.name)
        directory.mkdir(parents=True, exist_ok=True)
        table = directory / "class_frequency.tsv"
        if task.writes_frequency:
            write_frequency(table, task.opened.variant.class_names, task.frequency)
        else:  # left from an earlier evaluation on other classes
            table.unlink(missing_ok=True)
        write_arrays(
            directory,
            measured.counts,
            measured.saved,
            task.class_groups,
            measured.values,
            measured.predicted,
            task.opened.variant.class_names if task.frequency is None else None,
        )
        by_class = {key: getattr(results, key).tolist() for key in ("correct", "examples", "predictions")}
        add_summary(directory, summary, {"step": about["step"], "settings": dict(task.settings), **by_class})
    return summary
