"""The files of a run's evaluations: a line of numbers and a line of class counts for each, and the arrays of the latest."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import line_of, load_arrays, read_lines, save_arrays, write_text
from cliptail_jax.metrics.calibration import Calibration
from cliptail_jax.metrics.measures import GROUPS, ClassResults
from cliptail_jax.metrics.retrieval import RetrievalResults, by_decile
from cliptail_jax.runs.files import COUNTS, SUMMARY
from cliptail_jax.runs.records import ClassCounts, Summary

ARRAYS = "latest.npz"
UNKNOWN = -1  # the predicted class of an image that cannot be read
CALIBRATION = tuple(f"calibration_{part}" for part in Calibration._fields)  # the names of these arrays in latest.npz
ENTRIES = "confusion_entries"  # an array [entry, 3] of latest.npz: true class, predicted class and number of examples
MAX_DENSE_CLASSES = 2048  # of a sparse confusion with more classes, only the entries that are not 0 are written


@dataclasses.dataclass(frozen=True)
class ClassArrays:
    """The content of latest.npz of an evaluation by classes. The accuracy and predictions by class are also in the file.

    Attributes:
        confusion: counts of predictions [class, label], rows by true class.
        groups: the class ids of head, mid and tail; empty without a ranking of the classes.
        calibration: None if it was not counted.
        values: further values by class, such as `nc1`; nan for classes without one.
        predicted: the class of each record, UNKNOWN where it is not known; None for evaluations by earlier versions.
        class_names: None if a table of class frequencies contains them.
    """

    confusion: Int[np.ndarray, "class label"] | csr_array
    groups: Mapping[str, Int[np.ndarray, " _"]]
    calibration: Calibration | None = None
    values: Mapping[str, Float[np.ndarray, " class"]] = dataclasses.field(default_factory=dict)
    predicted: Int[np.ndarray, " record"] | None = None
    class_names: Sequence[str] | None = None


def last_evaluation(workdir: Path, name: str) -> dict[str, Any] | None:
    """The summary of the run's last evaluation on the set 'name:split', None if there is none."""
    return next(reversed(read_summaries(workdir, name)), None)


def read_summaries(workdir: Path, name: str) -> list[dict[str, Any]]:
    """The summaries of all evaluations on the set 'name:split', oldest first. Raises UserError if one is damaged."""
    return read_lines(evaluation_directory(workdir, name) / SUMMARY, Summary)


def read_arrays(workdir: Path, name: str) -> dict[str, np.ndarray]:
    """The arrays of the run's last evaluation on the set 'name:split'. Raises UserError if they are damaged."""
    return load_arrays(evaluation_directory(workdir, name) / ARRAYS)


def read_results(workdir: Path, name: str) -> ClassArrays | RetrievalResults:
    """The results in the arrays of the run's last evaluation on the set 'name:split'.

    Raises UserError if arrays are missing or damaged.
    """
    arrays, directory = read_arrays(workdir, name), evaluation_directory(workdir, name)
    if "text_to_image" in arrays:
        return _retrieval_results(arrays, directory)
    return _class_arrays(arrays, directory)


def _class_arrays(arrays: Mapping[str, np.ndarray], directory: Path) -> ClassArrays:
    names_of_counts = {"confusion", ENTRIES, "per_class_accuracy", "per_class_predictions", "predicted", "class_names"}
    names_of_counts.update(GROUPS, CALIBRATION)
    return ClassArrays(
        _read_confusion(arrays, directory),
        {name: arrays[name] for name in GROUPS if name in arrays},
        Calibration(*(arrays[name] for name in CALIBRATION)) if CALIBRATION[0] in arrays else None,
        {
            name: array
            for name, array in arrays.items()
            if name not in names_of_counts and array.dtype.kind == "f" and not np.isnan(array).all()
        },
        arrays.get("predicted"),
        arrays["class_names"].tolist() if "class_names" in arrays else None,
    )


def _read_confusion(arrays: Mapping[str, np.ndarray], directory: Path) -> csr_array:
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


def _retrieval_results(arrays: Mapping[str, np.ndarray], directory: Path) -> RetrievalResults:
    names = [field.name for field in dataclasses.fields(RetrievalResults) if field.default is dataclasses.MISSING]
    if missing_names := [name for name in names if name not in arrays]:
        raise UserError(f"{directory} is incomplete: its arrays lack '{missing_names[0]}'; evaluate the run again")
    num_excluded = int(arrays.get("left_out", 0))
    return RetrievalResults(*(arrays[name] for name in names), arrays.get("word_frequency"), num_excluded)


def write_class_arrays(directory: Path, content: ClassArrays) -> None:
    """Write latest.npz of an evaluation by classes."""
    results = ClassResults.from_confusion(content.confusion)
    arrays = _confusion_arrays(content.confusion)
    arrays |= {"per_class_accuracy": results.accuracy, "per_class_predictions": results.predictions, **content.groups}
    if content.calibration is not None:
        arrays |= dict(zip(CALIBRATION, content.calibration))
    arrays |= content.values
    if content.predicted is not None:  # in the smallest type that can represent the classes and -1
        arrays["predicted"] = content.predicted.astype(np.min_scalar_type(-len(results.correct)))
    if content.class_names is not None:
        arrays["class_names"] = np.array(content.class_names)
    save_arrays(directory / ARRAYS, **arrays)


def _confusion_arrays(confusion: Int[np.ndarray, "class label"] | csr_array) -> dict[str, np.ndarray]:
    if isinstance(confusion, np.ndarray):
        return {"confusion": confusion}
    if confusion.shape[0] <= MAX_DENSE_CLASSES:
        return {"confusion": confusion.toarray()}
    entries = confusion.tocoo()
    return {ENTRIES: np.stack([entries.row, entries.col, entries.data], axis=1).astype(np.int64)}


def write_retrieval_arrays(directory: Path, results: RetrievalResults) -> None:
    """Write latest.npz of an evaluation by retrieval: the ranks and, if word frequencies are known, recalls by these."""
    deciles = {}
    if results.word_frequency is not None:
        deciles = {"word_frequency": results.word_frequency, **by_decile(results)}
    ranks = {"image_to_text": results.image_to_text, "text_to_image": results.text_to_image}
    arrays = {**ranks, "images": results.images, "captions": results.captions, **deciles}
    save_arrays(directory / ARRAYS, left_out=np.array(results.num_excluded), **arrays)


def read_class_counts(workdir: Path, name: str) -> list[ClassCounts]:
    """The counts by class of the run's evaluations on the set 'name:split', in the order of steps.

    Only evaluations with the settings of the last one are included. Evaluations by earlier versions of the software have no
    counts. Raises UserError if a line is damaged.
    """
    records = read_lines(evaluation_directory(workdir, name) / COUNTS, ClassCounts)
    lines = [line for line in records if line["settings"] == records[-1]["settings"]]
    by_step = {line["step"]: line for line in lines}
    return [by_step[step] for step in sorted(by_step)]


def add_summary(directory: Path, summary: Mapping[str, Any], results: ClassResults | None = None) -> None:
    """Append an evaluation's counts by class, if there are `results`, and then its numbers, to the files in its folder."""
    counts = None
    if results is not None:
        counts = {"step": summary["step"], "settings": summary["settings"]}
        counts |= {key: getattr(results, key).tolist() for key in ("correct", "examples", "predictions")}
    for name, record in ((COUNTS, counts), (SUMMARY, summary)):
        if record is not None:
            write_text(directory / name, "".join(map(line_of, [*read_lines(directory / name), record])))


def check_directories(names: Iterable[str]) -> None:
    """Raise UserError if two sets would share the folder of their evaluations."""
    owners: dict[str, str] = {}
    for name in names:
        folder = evaluation_directory(Path(), name).name
        if owners.setdefault(folder, name) != name:
            raise UserError(
                f"eval.sets: {owners[folder]} and {name} would share the folder eval/{folder}: evaluate them in work directories of "
                "their own, or build one of them under another name"
            )


def evaluation_directory(workdir: Path, name: str) -> Path:
    """The folder of the evaluations on the set 'name:split'."""
    return workdir / "eval" / name.replace(":", "_").replace("/", "_")
