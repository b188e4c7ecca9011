"""What a run's last evaluation on a set has found, read from the files of its run directory."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.errors import UserError
from cliptail_jax.files import load_arrays, read_lines
from cliptail_jax.runs.directory import read_run_frequency


@dataclasses.dataclass
class FinishedRun:
    """What a finished run has to say about an evaluation set, by its last evaluation there."""

    evaluated_on: str
    summary: dict[str, Any]
    class_names: tuple[str, ...]
    frequency: Int[np.ndarray, "class"]
    accuracy: Float[np.ndarray, "class"]  # 0..1, nan for a class without examples
    predictions: Int[np.ndarray, "class"]
    tail: Int[np.ndarray, "tail"]  # ids of the classes that the summary's tail is the mean of

    @classmethod
    def read(cls, workdir: Path, evaluated_on: str) -> "FinishedRun":
        directory = evaluation_directory(workdir, evaluated_on)
        summary = last_evaluation(workdir, evaluated_on)
        # A set with other classes than the run's has a table of its own, or no frequency that is known.
        own = directory / "class_frequency.tsv"
        class_names, frequency = read_run_frequency(directory if own.exists() else workdir)
        arrays = load_arrays(directory / "latest.npz")
        if "tail" not in arrays:
            raise UserError(
                f"{workdir} was not trained on the classes of {evaluated_on}: a study compares runs on theirs"
            )
        of_classes = arrays["per_class_accuracy"], arrays["per_class_predictions"]
        return cls(evaluated_on, summary, class_names, frequency, *of_classes, arrays["tail"])


def last_evaluation(workdir: Path, name: str) -> dict[str, Any] | None:
    """The summary of the run's last evaluation on the set 'name:split', None if there is none."""
    summaries = list(read_lines(evaluation_directory(workdir, name) / "summary.jsonl"))
    return summaries[-1] if summaries else None


def evaluation_directory(workdir: Path, name: str) -> Path:
    """Where the evaluations on the set 'name:split' are."""
    return workdir / "eval" / name.replace(":", "_").replace("/", "_")
