"""The tables of the page: numbers as text to read, and as values to sort and download."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cliptail_jax.report.comparison import BIAS, Comparison, Kind, mean_of
from cliptail_jax.report.read import short_names
from cliptail_jax.runs.tables import UNDEFINED, format_interval, format_number


class Cell(NamedTuple):
    """What a cell shows, and the number by which it is sorted; None where that is the text. `bounds` are its interval."""

    text: str
    value: float | None = None
    bounds: tuple[float, float] | None = None


class Table(NamedTuple):
    """A header with explanations, rows by the name of each, and the kinds of rows that are not named as theirs.

    `first` is the title of the names of rows.
    """

    header: Sequence[tuple[str, str]]
    rows: Mapping[str, Sequence[Cell]]
    of: Mapping[str, str] = {}
    first: str = "runs"


# Title, format and meaning of the numbers of an evaluation in the table of runs.
NUMBERS = {
    "top1": ("top-1 %", ".1f", "accuracy in percent"),
    "head": ("head", ".1f", "accuracy on the most frequent classes in percent"),
    "mid": ("mid", ".1f", "accuracy on the classes in between in percent"),
    "tail": ("tail", ".1f", "accuracy on the rarest classes in percent"),
    "slope_acc": ("slope_acc", ".1f", "points of accuracy that a class gains with ten times as many images"),
    "slope_pred": ("slope_pred", ".2f", "powers of ten by which it is then predicted more often"),
    "corr_acc": ("corr_acc", ".2f", "Spearman's correlation of class frequency with accuracy"),
    "corr_pred": ("corr_pred", ".2f", "Spearman's correlation of class frequency with predictions"),
    "ece": ("ECE %", ".1f", "expected calibration error in percent"),
}
# What is no measure of its own in an evaluation's summary.
OTHERS = ("step", "epoch", "settings", "model", "weights", "examples", "top5")


def run_table(comparison: Comparison) -> Table:
    """A row for each kind; columns that no kind has are left out."""
    columns: dict[tuple[str, str], list[Cell]] = {}

    def add(title: str, meaning: str, cells: list[Cell]) -> None:
        if any(cell.text != UNDEFINED for cell in cells):
            columns[title, meaning] = cells

    kinds = comparison.kinds
    if any(kind.runs[0].is_published for kind in kinds):
        short = frequency_names(comparison)
        corpora = [
            short.get(kind.runs[0].summary.get("settings", {}).get("class_frequency"), UNDEFINED) for kind in kinds
        ]
        add("class frequency", "the corpus or table that classes are counted in", [Cell(corpus) for corpus in corpora])
    if any(len(kind.runs) > 1 for kind in kinds):
        finished = [sum(run.is_finished for run in kind.runs) for kind in kinds]
        add("n", "the number of finished runs, over which the others are means", [number(n, "d") for n in finished])
    add("images", "the number of training images", [number(kind.images, ",.0f") for kind in kinds])
    for key, (title, form, meaning) in NUMBERS.items():
        if key in BIAS:
            title, meaning = f"{title} [95 %]", f"{meaning}, with its interval"
        add(title, meaning, [with_interval(kind, key, form) for kind in kinds])
    add("minutes", "the duration of a training", [number(kind.minutes, ".1f") for kind in kinds])
    add("images/s", "the median over steps", [number(kind.images_per_second, ",.0f") for kind in kinds])
    return Table(list(columns), {kind.name: row for kind, row in zip(kinds, rows_of(columns, len(kinds)))})


def set_table(comparison: Comparison) -> Table:
    """A row for each kind, evaluation set and class frequency; none if no run has several."""
    header = [(title, meaning) for title, _, meaning in NUMBERS.values()]
    rows, of = {}, {}
    runs = [run for kind in comparison.kinds for run in kind.runs]
    if all(len(run.sets) < 2 and len(run.last_evaluations()) < 2 for run in runs):
        return Table(header, rows, of)
    short = frequency_names(comparison)
    for kind in comparison.kinds:
        for on in dict.fromkeys(on for run in kind.runs for on in run.sets):
            found: dict[str, list[Mapping[str, Any]]] = {}
            for run in kind.runs:
                for frequency, line in run.last_evaluations(on).items():
                    found.setdefault(frequency, []).append(line)
            for frequency, lines in found.items():
                row = f"{kind.name} on {on}" + (f", by {short[frequency]}" if len(found) > 1 else "")
                rows[row] = [
                    number(mean_of([line.get(key) for line in lines]), form) for key, (_, form, _) in NUMBERS.items()
                ]
                of[row] = kind.name
    return Table(header, rows, of)


def measure_table(comparison: Comparison) -> Table:
    """The other numbers of evaluations: overconfidence, neural collapse, similarities, where they were computed."""
    keys = dict.fromkeys(
        key
        for kind in comparison.kinds
        for run in kind.runs
        for key, value in run.summary.items()
        if isinstance(value, float) and key not in (*NUMBERS, *OTHERS)
    )
    rows = {kind.name: [number(kind.mean(key), ".3g") for key in keys] for kind in comparison.kinds if kind.evaluations}
    return Table([(key, "") for key in keys], rows if keys else {})


def transfer_table(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Scores by kind or model, and a column for each set and method."""
    titles = {"probe": "linear probe", "few_shot": "few-shot", "finetune": "fine-tuning"}
    columns = list(dict.fromkeys((r["set"], r["method"]) for of_kind in results.values() for r in of_kind))
    rows = {}
    for name, of_kind in results.items():
        scores = ([r.get("score") for r in of_kind if (r["set"], r["method"]) == column] for column in columns)
        rows[name] = [number(mean_of(of_column), ".1f") for of_column in scores]
    header = [(f"{on}: {titles.get(method, method)} %", "") for on, method in columns]
    return Table(header, rows, first="model")


def columns_of(table: Table) -> tuple[list[str], list[list[Any]]]:
    """A table as a header and rows for programs, with the bounds of intervals in columns of their own."""
    columns: dict[str, list[Any]] = {table.first: list(table.rows)}
    for place, (title, _) in enumerate(table.header):
        cells = [row[place] for row in table.rows.values()]
        title = title.removesuffix(" [95 %]")
        columns[title] = [value_of(cell) for cell in cells]
        if any(cell.bounds for cell in cells):
            for side, name in enumerate(("low", "high")):
                columns[f"{title}_{name}"] = [cell.bounds and cell.bounds[side] for cell in cells]
    return list(columns), [list(row) for row in zip(*columns.values())]


def value_of(cell: Cell) -> float | int | str | None:
    """The number of a cell, or its text; None where it is undefined."""
    if cell.text == UNDEFINED:
        return None
    if cell.value is None:
        return cell.text
    return int(cell.value) if cell.value.is_integer() else cell.value


def number(value: float, form: str) -> Cell:
    return Cell(UNDEFINED, -math.inf) if math.isnan(value) else Cell(format_number(value, form), float(value))


def with_interval(kind: Kind, key: str, form: str) -> Cell:
    value, bounds = kind.value(key), kind.interval(key) if key in BIAS else None
    if bounds is None or math.isnan(value):
        return number(value, form)
    return Cell(format_interval(value, bounds, form), value, bounds)


def rows_of(columns: Mapping[Any, Sequence[Cell]], number_of_rows: int) -> list[list[Cell]]:
    return [[cells[row] for cells in columns.values()] for row in range(number_of_rows)]


def frequency_names(comparison: Comparison) -> dict[str, str]:
    """Short names of the corpora and tables whose class frequencies published models are compared with."""
    runs = [run for kind in comparison.kinds for run in kind.runs if run.is_published]
    return short_names(
        dict.fromkeys(name for run in runs for on in run.sets for name in run.last_evaluations(on) if name)
    )
