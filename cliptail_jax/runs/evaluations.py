"""The files of a run's evaluations: a line of numbers and a line of class counts for each, and the arrays of the latest."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import line_of, load_arrays, read_lines, write_text
from cliptail_jax.metrics.calibration import Calibration
from cliptail_jax.runs.files import COUNTS, SUMMARY
from cliptail_jax.runs.records import ClassCounts, Summary

ARRAYS = "latest.npz"
UNKNOWN = -1  # the predicted class of an image that cannot be read
CALIBRATION = tuple(f"calibration_{part}" for part in Calibration._fields)  # the names of these arrays in latest.npz


def last_evaluation(workdir: Path, name: str) -> dict[str, Any] | None:
    """The summary of the run's last evaluation on the set 'name:split', None if there is none."""
    return next(reversed(read_summaries(workdir, name)), None)


def read_summaries(workdir: Path, name: str) -> list[dict[str, Any]]:
    """The summaries of all evaluations on the set 'name:split', oldest first. Raises UserError if one is damaged."""
    return read_lines(evaluation_directory(workdir, name) / SUMMARY, Summary)


def read_arrays(workdir: Path, name: str) -> dict[str, np.ndarray]:
    """The arrays of the run's last evaluation on the set 'name:split'. Raises UserError if they are damaged."""
    return load_arrays(evaluation_directory(workdir, name) / ARRAYS)


def read_class_counts(workdir: Path, name: str) -> list[ClassCounts]:
    """The counts by class of the run's evaluations on the set 'name:split', in the order of steps.

    Only evaluations with the settings of the last one are included. Evaluations by earlier versions of the software have no
    counts. Raises UserError if a line is damaged.
    """
    records = read_lines(evaluation_directory(workdir, name) / COUNTS, ClassCounts)
    lines = [line for line in records if line["settings"] == records[-1]["settings"]]
    by_step = {line["step"]: line for line in lines}
    return [by_step[step] for step in sorted(by_step)]


def add_summary(directory: Path, summary: Mapping[str, Any], counts: ClassCounts | None = None) -> None:
    """Append an evaluation's counts by class, and then its numbers, to the files in its folder."""
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
