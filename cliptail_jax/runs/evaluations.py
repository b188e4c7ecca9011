"""What a run's last evaluation on a set has found, read from the files of its run directory."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.errors import UserError
from cliptail_jax.files import line_of, load_arrays, read_lines, write_text
from cliptail_jax.runs.directory import SUMMARY, read_run_frequency

ARRAYS = "latest.npz"


@dataclasses.dataclass
class FinishedRun:
    """What a finished run has to say about an evaluation set, by its last evaluation there."""

    evaluated_on: str
    summary: dict[str, Any]
    class_names: tuple[str, ...]
    frequency: Int[np.ndarray, " class"]
    accuracy: Float[np.ndarray, " class"]  # 0..1, nan for a class without examples
    predictions: Int[np.ndarray, " class"]
    tail: Int[np.ndarray, " tail"]  # ids of the classes that the summary's tail is the mean of

    @classmethod
    def read(cls, workdir: Path, evaluated_on: str) -> "FinishedRun":
        directory = evaluation_directory(workdir, evaluated_on)
        summary = last_evaluation(workdir, evaluated_on)
        # A set with other classes than the run's has a table of its own, or no frequency that is known.
        own = directory / "class_frequency.tsv"
        class_names, frequency = read_run_frequency(directory if own.exists() else workdir)
        arrays = read_arrays(workdir, evaluated_on)
        if "tail" not in arrays:
            raise UserError(
                f"{workdir} was not trained on the classes of {evaluated_on}: a study compares runs on theirs"
            )
        of_classes = arrays["per_class_accuracy"], arrays["per_class_predictions"]
        return cls(evaluated_on, summary, class_names, frequency, *of_classes, arrays["tail"])


def last_evaluation(workdir: Path, name: str) -> dict[str, Any] | None:
    """The summary of the run's last evaluation on the set 'name:split', None if there is none."""
    return next(iter(last_evaluations(workdir, name, 1)), None)


def last_evaluations(workdir: Path, name: str, number: int) -> list[dict[str, Any]]:
    """The summaries of the last evaluations on the set 'name:split', oldest first; fewer if there are not so many."""
    return read_lines(evaluation_directory(workdir, name) / SUMMARY)[-number:]


def read_arrays(workdir: Path, name: str) -> dict[str, np.ndarray]:
    """The arrays of the run's last evaluation on the set 'name:split'. Raises UserError if they are damaged."""
    path = evaluation_directory(workdir, name) / ARRAYS
    return load_arrays(path)


def add_summary(directory: Path, summary: Mapping[str, Any]) -> None:
    """Append the numbers of an evaluation to those in its folder."""
    path = directory / SUMMARY
    write_text(path, "".join(map(line_of, [*read_lines(path), summary])))


def evaluation_directory(workdir: Path, name: str) -> Path:
    """Where the evaluations on the set 'name:split' are."""
    return workdir / "eval" / name.replace(":", "_").replace("/", "_")
