"""A run's latest evaluation on one set, read from its files."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from cliptail_jax.metrics.measures import ClassResults
from cliptail_jax.metrics.retrieval import RetrievalResults
from cliptail_jax.runs.evaluations import evaluation_directory, last_evaluation, read_class_counts, read_results
from cliptail_jax.runs.files import FREQUENCY, read_run_frequency


@dataclasses.dataclass(frozen=True)
class ClassEvaluation:
    """A run's latest evaluation on one set.

    Attributes:
        set_name: the name of the set.
        class_names: the classes of the set, in label order.
        summary: the line of summary.jsonl; empty for predictions.
        results: the counts and values by class.
        confusion: counts of predictions [class, label], rows by true class; sparse, because with many classes most are 0.
        share: the share of each class in all predictions, in 0..1.
        predicted: the prediction for each record, -1 if it is unknown; None for evaluations by earlier versions.
    """

    set_name: str
    class_names: tuple[str, ...]
    summary: Mapping[str, Any]
    results: ClassResults
    confusion: csr_array
    share: Float[np.ndarray, " class"]
    predicted: Int[np.ndarray, " record"] | None = None

    @property
    def frequency(self) -> Int[np.ndarray, " class"] | None:
        return self.results.frequency

    @property
    def accuracy(self) -> Float[np.ndarray, " class"]:
        return self.results.accuracy


@dataclasses.dataclass(frozen=True)
class RetrievalEvaluation:
    """A run's latest evaluation by retrieval on one set. It has the attributes of a `ClassEvaluation`, but no classes."""

    set_name: str
    summary: Mapping[str, Any]
    results: RetrievalResults
    class_names: tuple[str, ...] = ()


def count_confusion(
    labels: Int[np.ndarray, " example"], predicted: Int[np.ndarray, " example"], classes: int
) -> csr_array:
    """The number of examples [class, label] by true class (rows) and predicted class (columns)."""
    return csr_array((np.ones(len(labels), np.int64), (labels, predicted)), shape=(classes, classes))


def is_retrieval(summary: Mapping[str, Any]) -> bool:
    """Whether a line of summary.jsonl is that of an evaluation by retrieval."""
    return "text_to_image_r1" in summary


def read_evaluation(workdir: Path, set_name: str) -> ClassEvaluation | RetrievalEvaluation:
    """The latest evaluation of the run in `workdir` on a set.

    Raises:
        UserError: the run was not evaluated on the set, or a file of the evaluation is damaged.
    """
    arrays, summary = read_results(workdir, set_name), last_evaluation(workdir, set_name) or {}
    if isinstance(arrays, RetrievalResults):
        return RetrievalEvaluation(set_name, summary, arrays)
    classes = arrays.confusion.shape[0]
    class_names, frequency = (), None
    # A set with other classes than the run's has its own table of frequencies, or the class frequency is unknown.
    for folder in (evaluation_directory(workdir, set_name), workdir):
        if arrays.class_names is None and (folder / FREQUENCY).exists():
            class_names, frequency = read_run_frequency(folder)
            break
    if len(class_names) != classes:
        class_names, frequency = tuple(arrays.class_names or map("class {}".format, range(classes))), None
    results = ClassResults.from_confusion(
        arrays.confusion,
        frequency=frequency,
        groups=arrays.groups,
        calibration=arrays.calibration,
        values=arrays.values,
    )
    return ClassEvaluation(
        set_name,
        class_names,
        summary,
        results,
        arrays.confusion,
        results.predictions / max(arrays.confusion.sum(), 1),
        arrays.predicted,
    )


def read_course(workdir: Path, evaluation: ClassEvaluation) -> dict[int, ClassResults]:
    """The results of all evaluations on the set and with the settings of the latest one, by step; {} for earlier versions.

    They have the class frequency and the groups of the latest evaluation.
    """
    return {
        line["step"]: ClassResults(
            *(np.array(line[key]) for key in ("correct", "examples", "predictions")),
            frequency=evaluation.frequency,
            groups=evaluation.results.groups,
        )
        for line in read_class_counts(workdir, evaluation.set_name)
        if len(line["correct"]) == len(evaluation.class_names)
    }
