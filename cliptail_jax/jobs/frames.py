"""Results as frames of pandas, which is imported on use and may be missing."""

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cliptail_jax.claims.judge import judge
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import work_path
from cliptail_jax.results.directory import Contents, read_directory
from cliptail_jax.results.evaluation import ClassEvaluation

if TYPE_CHECKING:
    from pandas import DataFrame

RUN = ("run", "seed", "set")
CLASSES = (*RUN, "class", "frequency", "examples", "correct", "predictions", "accuracy")
CLAIMS = ("claim", "text", "statistic", "set", "higher", "lower", "equal", "margin", "difference", "low", "high")
CLAIMS += ("verdict", "corrected", "obstacle")


class Frames(NamedTuple):
    """The results in a directory.

    Attributes:
        runs: a row for each run and set, with the measures of the latest evaluation, whose units
            `cliptail_jax.metrics.measures` states. The 95 % interval of a measure `m` is `m_low` to `m_high`.
        classes: a row for each run, labelled set and class: training images (`frequency`), counts of the latest evaluation,
            and accuracy in percent.
        claims: a row for each claim of a study, with the interval of its difference, and its verdict.
    """

    runs: "DataFrame"
    classes: "DataFrame"
    claims: "DataFrame"


def load_results(workdir: str | Path) -> Frames:
    """The results of the run, the study or the folder of runs in a directory.

    Raises UserError if pandas is not installed, there is no such directory, it has no results, or a file is damaged.

    >>> from cliptail_jax import load_results
    >>> runs, classes, claims = load_results("runs/clip")
    >>> runs[["run", "finished"]]
        run  finished
    0  clip      True
    """
    if not importlib.util.find_spec("pandas"):
        raise UserError(
            "load_results needs pandas, which is not installed: pip install pandas, or cliptail_jax with the extra frames"
        )
    import pandas as pd

    contents = read_directory(work_path(str(workdir)))
    if contents.problems:
        raise UserError(contents.problems[0])
    if not (contents.runs or contents.study):
        raise UserError(f"{workdir} contains no run: give the directory of a run, a study, or a folder of runs")
    classes = [pd.DataFrame(columns, columns=CLASSES) for columns in class_columns(contents)]
    return Frames(
        pd.DataFrame(list(run_rows(contents)), columns=None if contents.runs else RUN),
        pd.concat(classes, ignore_index=True) if classes else pd.DataFrame(columns=CLASSES),
        pd.DataFrame(list(claim_rows(contents)), columns=CLAIMS),
    )


def run_rows(contents: Contents) -> Iterator[dict[str, Any]]:
    for run in contents.runs:
        columns = {"finished": run.is_finished, "images": run.images, "minutes": run.seconds and run.seconds / 60}
        for set_name in run.sets or [""]:
            for frequency, summary in (run.last_evaluations(set_name) if set_name else {"": {}}).items():
                source = {"class_frequency": frequency} if frequency else {}
                yield dict(zip(RUN, (run.name, run.seed, set_name))) | columns | source | numbers(summary)


def numbers(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers of an evaluation; the two bounds of an interval are two numbers."""
    columns = {}
    for key, value in summary.items():
        if key.endswith("_interval"):
            low, high = value or (None, None)
            columns |= {f"{key.removesuffix('_interval')}_low": low, f"{key.removesuffix('_interval')}_high": high}
        elif key not in ("set", "settings", "model", "weights"):
            columns[key] = value
    return columns


def class_columns(contents: Contents) -> Iterator[dict[str, Any]]:
    for run in contents.runs:
        for set_name in run.sets:
            evaluation = run.evaluated_on(set_name)
            if isinstance(evaluation, ClassEvaluation):
                results, names = evaluation.results, evaluation.class_names
                frequency = [None] * len(names) if evaluation.frequency is None else evaluation.frequency
                counts = results.examples, results.correct, results.predictions, 100 * results.accuracy
                yield dict(zip(CLASSES, (run.name, run.seed, set_name, names, frequency, *counts)))


def claim_rows(contents: Contents) -> Iterator[dict[str, Any]]:
    for key, claim in judge(contents).items():
        difference, low, high = claim.interval or (None, None, None)
        numbers = {"claim": key, "difference": difference, "low": low, "high": high}
        yield {name: numbers[name] if name in numbers else getattr(claim, name) for name in CLAIMS}
