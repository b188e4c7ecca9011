"""A run's latest evaluation on one set, read from its files."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.calibration import Calibration
from cliptail_jax.metrics.measures import GROUPS, ClassResults
from cliptail_jax.metrics.retrieval import RetrievalResults
from cliptail_jax.runs.evaluations import (
    CALIBRATION,
    evaluation_directory,
    last_evaluation,
    read_arrays,
    read_class_counts,
)
from cliptail_jax.runs.files import FREQUENCY, read_run_frequency

MAX_DENSE_CLASSES = 2048  # with more classes, only the entries of the confusion that are not 0 are written
ENTRIES = "confusion_entries"  # an array [entry, 3] of latest.npz: true class, predicted class and number of examples


@dataclasses.dataclass(frozen=True)
class ClassEvaluation:
    """A run's latest evaluation on one set.

    Attributes:
        set_name: the name of the set.
        class_names: the classes of the set, in label order.
        summary: the line of summary.jsonl.
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


def confusion_arrays(confusion: csr_array) -> dict[str, np.ndarray]:
    """The confusion as arrays of latest.npz: the whole, or its entries if there are more than MAX_DENSE_CLASSES classes."""
    if confusion.shape[0] <= MAX_DENSE_CLASSES:
        return {"confusion": confusion.toarray()}
    entries = confusion.tocoo()
    return {ENTRIES: np.stack([entries.row, entries.col, entries.data], axis=1).astype(np.int64)}


def read_confusion(arrays: Mapping[str, np.ndarray], directory: Path) -> csr_array:
    """The confusion from the arrays of latest.npz. Raises UserError if it is missing or damaged."""
    if "confusion" in arrays:
        confusion, classes = arrays["confusion"], len(arrays["confusion"])
        if confusion.shape != (classes, classes) or confusion.dtype.kind not in "iu":
            raise UserError(
                f"{directory} is damaged: its confusion is no square array of counts; evaluate the run again"
            )
        return csr_array(confusion, dtype=np.int64)
    if not {ENTRIES, "per_class_predictions"} <= arrays.keys():
        raise UserError(f"{directory} is incomplete: its arrays lack 'confusion'; evaluate the run again")
    entries, classes = arrays[ENTRIES], len(arrays["per_class_predictions"])
    try:
        rows, columns, counts = entries.T
        return csr_array((counts, (rows, columns)), shape=(classes, classes))
    except ValueError as error:  # another shape, or an entry without a class
        raise UserError(
            f"{directory} is damaged: {ENTRIES} has no counts of its classes ({error}); measure again"
        ) from None


def is_retrieval(summary: Mapping[str, Any]) -> bool:
    """Whether a line of summary.jsonl is that of an evaluation by retrieval."""
    return "text_to_image_r1" in summary


def read_evaluation(workdir: Path, set_name: str) -> ClassEvaluation | RetrievalEvaluation:
    """The latest evaluation of the run in `workdir` on a set.

    Raises:
        UserError: the run was not evaluated on the set, or a file of the evaluation is damaged.
    """
    directory = evaluation_directory(workdir, set_name)
    arrays = read_arrays(workdir, set_name)
    if "text_to_image" in arrays:
        return RetrievalEvaluation(
            set_name, last_evaluation(workdir, set_name) or {}, retrieval_results(arrays, directory)
        )
    confusion = read_confusion(arrays, directory)
    classes = confusion.shape[0]
    class_names, frequency = (), None
    # A set with other classes than the run's has its own table of frequencies, or the class frequency is unknown.
    for folder in (directory, workdir):
        if "class_names" not in arrays and (folder / FREQUENCY).exists():
            class_names, frequency = read_run_frequency(folder)
            break
    if len(class_names) != classes:
        names = arrays.get("class_names", np.array([f"class {label}" for label in range(classes)]))
        class_names, frequency = tuple(names.tolist()), None
    calibration = Calibration(*(arrays[name] for name in CALIBRATION)) if CALIBRATION[0] in arrays else None
    names_of_counts = {"confusion", ENTRIES, "per_class_accuracy", "per_class_predictions", "predicted", "class_names"}
    names_of_counts.update(GROUPS, CALIBRATION)
    values = {
        name: array
        for name, array in arrays.items()
        if name not in names_of_counts and array.dtype.kind == "f" and not np.isnan(array).all()
    }
    results = ClassResults.from_confusion(
        confusion,
        frequency=frequency,
        groups={name: arrays[name] for name in GROUPS if name in arrays},
        calibration=calibration,
        values=values,
    )
    return ClassEvaluation(
        set_name,
        class_names,
        last_evaluation(workdir, set_name) or {},
        results,
        confusion,
        results.predictions / max(confusion.sum(), 1),
        arrays.get("predicted"),
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


def retrieval_results(arrays: Mapping[str, np.ndarray], directory: Path) -> RetrievalResults:
    """The ranks in latest.npz of an evaluation by retrieval. Raises UserError if an array is missing."""
    names = [field.name for field in dataclasses.fields(RetrievalResults) if field.default is dataclasses.MISSING]
    if missing_names := [name for name in names if name not in arrays]:
        raise UserError(f"{directory} is incomplete: its arrays lack '{missing_names[0]}'; evaluate the run again")
    left_out = int(arrays.get("left_out", 0))
    return RetrievalResults(*(arrays[name] for name in names), arrays.get("word_frequency"), left_out)
