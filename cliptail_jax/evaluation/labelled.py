"""Evaluation on a set with labels: the task, its pass over the images, and its files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.config.sections import Evaluation
from cliptail_jax.evaluation.counting import (
    ClassHead,
    FeatureCollector,
    check_counts,
    check_head,
    count,
    estimate_log_prior,
    in_rows,
)
from cliptail_jax.evaluation.evaluator import Evaluator
from cliptail_jax.evaluation.heads import ModelParts
from cliptail_jax.evaluation.results import class_results, head_mid_tail, write_saved_arrays
from cliptail_jax.evaluation.sets import OpenedSet
from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.imbalance import log_prior
from cliptail_jax.metrics.measures import NAME_TOKENS, summarize
from cliptail_jax.metrics.neural_collapse import neural_collapse
from cliptail_jax.metrics.similarity import ClassSimilarities
from cliptail_jax.runs.evaluations import ClassArrays, add_summary, evaluation_directory, write_class_arrays
from cliptail_jax.runs.files import FREQUENCY


class PassResult(NamedTuple):
    """The result of a pass over a set.

    Attributes:
        counts: as `counting.count_shapes` lists them.
        predicted: the class of each row of the set; UNKNOWN for unreadable images.
        values: other measures of each class.
        arrays: the arrays that are written to .npy files.
    """

    counts: Mapping[str, np.ndarray]
    predicted: Int[np.ndarray, " row"]
    values: Mapping[str, Float[np.ndarray, " class"]]
    arrays: Mapping[str, np.ndarray]


class LabelledTask:
    """The evaluation of a model on a set with labels.

    Args:
        eval_set: the set.
        settings: what the results depend on; they identify a finished evaluation.
        frequency: the class frequency for correlations, in the set's order; None if it is unknown.
        writes_frequency: whether it is written with the results.
        remedy: how to provide a class frequency, in the imperative.
        subtracted_prior: what is subtracted from the logits, in the set's order, in place of τ log π; None for nothing.

    Attributes:
        name_tokens: the tokens per word of each class name, if a text tower reads it (`cliptail_jax.input.name_tokens`).

    Raises:
        UserError: logits are to be adjusted for an unknown class frequency, or the table `rank_by` does not fit the classes.
    """

    def __init__(
        self,
        eval_set: OpenedSet,
        settings: Mapping[str, Any],
        frequency: Int[np.ndarray, " class"] | None,
        writes_frequency: bool,
        options: Evaluation,
        remedy: str,
        subtracted_prior: Float[np.ndarray, " class"] | None = None,
    ):
        if options.logit_adjustment and not options.estimate_prior and frequency is None:
            raise UserError(
                f"eval.logit_adjustment={options.logit_adjustment:g} needs the class frequency of '{eval_set.name}', which is "
                f"not known: {remedy}, or set eval.estimate_prior"
            )
        self.eval_set, self.settings, self.frequency = eval_set, settings, frequency
        self._writes_frequency, self._subtracted_prior = writes_frequency, subtracted_prior
        self.name_tokens = None
        self._class_groups = head_mid_tail(options, eval_set.variant.class_names, frequency)

    def measure(
        self, evaluator: Evaluator, parts: ModelParts, head: ClassHead, give_up: Callable[[], bool]
    ) -> PassResult | None:
        """A pass over the set, or None if `give_up` returns True before its end.

        Raises UserError if no image can be read, or numbers are not finite.
        """
        options, variant = evaluator.options, self.eval_set.variant
        check_head(head, self.eval_set.name)
        run_pass = evaluator.cached_pass(self.eval_set.name, variant, give_up)
        if self._subtracted_prior is not None:
            head = head._replace(adjustment=np.float32(self._subtracted_prior))
        elif options.logit_adjustment:
            if options.estimate_prior:
                prior = estimate_log_prior(evaluator.sum_probabilities, parts, head, run_pass, evaluator.mesh)
            else:
                # A class without training images counts as one with a single image: log 0 would place it above all others.
                prior = log_prior(np.maximum(self.frequency, 1))
            # Menon et al. 2021, arXiv 2007.07314
            head = head._replace(adjustment=np.float32(options.logit_adjustment * prior))
        collector = FeatureCollector(variant) if options.neural_collapse or options.save_features else None
        similarities = ClassSimilarities(head.embeddings) if options.similarity else None
        consumers = [consumer.add for consumer in (collector, similarities) if consumer]
        counts, slots = count(evaluator.evaluate_batch, parts, head, run_pass, consumers, evaluator.mesh)
        if give_up():
            return None
        check_counts(counts, self.eval_set.name)
        arrays = collector.result() if collector else {}
        values = similarities.result()._asdict() if similarities else {}
        if options.neural_collapse:
            values = neural_collapse(arrays["features"], arrays["labels"], head.embeddings)._asdict() | values
        if self.name_tokens is not None:
            values = {**values, NAME_TOKENS: self.name_tokens}
        arrays = {**arrays, "head": head.embeddings} if options.save_features else {}
        return PassResult(counts, in_rows(slots, len(variant), options.batch_size), values, arrays)

    def write(self, workdir: Path, header: Mapping[str, Any], result: PassResult) -> dict[str, Any]:
        """Write the files of the evaluation, and return its summary, which begins with `header`.

        The first process writes. The line in summary.jsonl is written last, so that all other files exist if it does.
        """
        results = class_results(result.counts, self.frequency, self._class_groups, result.values)
        summary = {**header, "set": self.eval_set.name, "settings": dict(self.settings), **summarize(results)}
        if jax.process_index() == 0:
            directory = evaluation_directory(workdir, self.eval_set.name)
            directory.mkdir(parents=True, exist_ok=True)
            if self._writes_frequency:
                write_frequency(directory / FREQUENCY, self.eval_set.variant.class_names, self.frequency)
            else:  # left from an earlier evaluation on other classes
                (directory / FREQUENCY).unlink(missing_ok=True)
            names = self.eval_set.variant.class_names if self.frequency is None else None
            arrays = (result.counts["confusion"], results.groups, results.calibration, result.values, result.predicted)
            write_saved_arrays(directory, result.arrays)
            write_class_arrays(directory, ClassArrays(*arrays, names))
            add_summary(directory, summary, results)
        return summary
