"""Sheets: tables with a header that list the runs of a figure. People or programs write them:

    run                group               x
    runs/random_16th   random text tower   203580
    runs/random_8th    random text tower   407100

Cells are separated by a tab, or by two or more spaces; an empty cell may be written as -. `run` is the directory of a run
or of an evaluated published model, relative to that of the sheet. `set` is the evaluation set, as configs name it, or
several joined by '+', for a line each; by default it is the first set of the run. The other columns depend on the figure.
Empty lines, and lines that begin with #, are ignored.
"""

import dataclasses
import functools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.host.files import is_remote, load_array, work_path
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.results.evaluation import ClassEvaluation, RetrievalEvaluation
from cliptail_jax.results.run import Run
from cliptail_jax.runs.evaluations import evaluation_directory

PLACES = ("x", "label")  # columns in which a run may not have two cells


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of a sheet."""

    location: str  # the sheet and line number, for error messages
    folder: Path  # of the sheet
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """The cell in a column; '' if the sheet has no such column."""
        return self.cells.get(column, "")

    def check_one_of(self, column: str, names: Collection[str]) -> None:
        """Raise UserError if the cell in a column is not one of `names`."""
        if self[column] not in names:
            raise UserError(f"{self.location}: {column} is '{self[column]}'; it must be one of {', '.join(names)}")

    def path(self, column: str) -> Path:
        cell = self[column]
        return work_path(cell) if is_remote(cell) else self.folder / cell

    @property
    def run(self) -> Path:
        return self.path("run")

    @functools.cached_property
    def results(self) -> Run:
        """The run. Raises UserError if there is none."""
        if not (self.run / "config.json").exists():
            raise UserError(f"{self.location}: there is no run in {self.run}")
        return Run(self.run)

    @property
    def set_name(self) -> str:
        """The evaluation set. Raises UserError if there is no run, or it was not evaluated on the set."""
        name = self["set"] or next(iter(self.results.eval_sets), "")
        if not name or not (evaluation_directory(self.run, name) / "latest.npz").exists():
            set_name = name or "any set"
            raise UserError(f"{self.location}: {self.run} was not evaluated on {set_name}: run cliptail evaluate on it")
        return name

    @property
    def evaluation(self) -> ClassEvaluation | RetrievalEvaluation:
        """The latest evaluation on the set."""
        return self.results.evaluated_on(self.set_name)

    def evaluated(self) -> ClassEvaluation:
        """The latest evaluation on the set. Raises UserError if it has no class frequencies."""
        if not self.evaluation.results.groups:
            raise UserError(
                f"{self.location}: {self.run} has no class frequencies on {self.set_name}: evaluate it with "
                "--config.eval.class_frequency, or on the classes it was trained on"
            )
        return self.evaluation

    def measure(self, name: str) -> Estimate:
        """A number from the summary of the latest evaluation. Raises UserError if the summary lacks it."""
        summary = self.evaluation.summary
        if isinstance(summary.get(name, ""), float | int | None):
            values = (summary[name], *(summary.get(f"{name}_interval") or (None, None)))
            return Estimate(*(math.nan if value is None else value for value in values))
        option = (
            f": evaluate it with --config.eval.{MEASURES[name].option}"
            if name in MEASURES and MEASURES[name].option
            else ""
        )
        numbers = [key for key, value in summary.items() if isinstance(value, float | int)]
        frequency = ": give it a class frequency" if name.startswith(("corr_", "slope_")) else ""
        remedy = option or did_you_mean(name, numbers) or frequency
        raise UserError(f"{self.location}: {self.run} has no {name} on {self.set_name}{remedy}")

    def saved(self, name: str) -> np.ndarray:
        """The array `name`.npy of the evaluation. Raises UserError if it was not saved."""
        path = evaluation_directory(self.run, self.set_name) / f"{name}.npy"
        if not path.exists():
            raise UserError(f"{self.location}: there is no {path}: evaluate with --config.eval.save_features")
        return load_array(path)


def read_sheet(path: Path, columns: Sequence[str]) -> list[Entry]:
    """The lines of a sheet.

    Raises UserError if it is no sheet, has no line, lacks a cell in one of `columns`, or has the same run twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read the sheet {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"the sheet {path} is not text in UTF-8") from None
    rows = [(n, row) for n, row in enumerate(text.splitlines(), 1) if row.strip() and not row.startswith("#")]
    if len(rows) < 2:
        raise UserError(f"the sheet {path} is empty: give a header, and a line for each run")
    (_, header), *lines = [(n, split_cells(row)) for n, row in rows]
    if missing_columns := [column for column in columns if column not in header]:
        raise UserError(
            f"the sheet {path} has no column '{missing_columns[0]}'{did_you_mean(missing_columns[0], header)}; the figure needs "
            f"{', '.join(columns)}, with tabs or two spaces between them"
        )
    if repeated_column := next((column for column in header if header.count(column) > 1), None):
        raise UserError(f"the sheet {path} has two columns '{repeated_column}': leave one out")
    entries, line_of = [], {}
    for number, row in lines:
        place = f"{path}, line {number}"
        if len(row) > len(header):
            raise UserError(f"{place} has {len(row)} cells, but the header {len(header)}")
        entry = Entry(place, path.parent, dict(zip(header, row)))
        if empty_columns := [column for column in columns if not entry[column]]:
            raise UserError(f"{place} has no {empty_columns[0]}")
        for name in entry["set"].split("+"):
            entries.append(dataclasses.replace(entry, cells={**entry.cells, "set": name}))
            cells = entries[-1].cells.items()
            identity = frozenset((column, cell) for column, cell in cells if cell and column not in PLACES)
            if identity in line_of:
                raise UserError(f"{place} repeats the run of line {line_of[identity]}: leave one out")
            line_of[identity] = number
    return entries


def split_cells(row: str) -> list[str]:
    cells = [cell.strip() for cell in re.split(r"\t| {2,}", row.rstrip())]
    return ["" if cell == "-" else cell for cell in cells]


def study_lines(
    columns: Sequence[str], rows: Sequence[Sequence[str]], seeds: Mapping[str, Collection[str]]
) -> list[tuple[str, ...]]:
    """A sheet for the runs of a study, its header first: a line for each run and seed.

    Args:
        columns: the figure's, after `run`.
        rows: the name of a run, then its cells in these columns.
        seeds: the finished runs of each seed, by the name of its directory.
    """
    lines = [(str(Path(seed) / run), *cells) for run, *cells in rows for seed, names in seeds.items() if run in names]
    return [("run", *columns), *lines]
