"""The tables of the page: numbers as text, and as values to sort and download."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cliptail_jax.metrics.measures import MEASURES, QUERIES, Measure, main_measures
from cliptail_jax.report.comparison import Comparison
from cliptail_jax.results.directory import short_names
from cliptail_jax.results.group import RunGroup, mean_of
from cliptail_jax.results.transfers import by_column
from cliptail_jax.runs.tables import UNDEFINED, format_interval, format_number


class Cell(NamedTuple):
    """The text of a cell, and the number by which it is sorted (None for the text). `bounds` are its interval."""

    text: str
    value: float | None = None
    bounds: tuple[float, float] | None = None


class Table(NamedTuple):
    """A header with explanations, rows by name, and the kinds of rows whose names differ from their kinds.

    `first` is the title of the names of rows.
    """

    header: Sequence[tuple[str, str]]
    rows: Mapping[str, Sequence[Cell]]
    of: Mapping[str, str] = {}
    first: str = "runs"


def run_measures() -> list[Measure]:
    """The measures in the table of runs. The table of measures has the others."""
    return [*main_measures(), MEASURES["ece"]]


def run_table(comparison: Comparison) -> Table:
    """A row for each kind; columns that no kind has are left out."""
    columns: dict[tuple[str, str], list[Cell]] = {}
    kinds = comparison.kinds
    if any(kind.runs[0].is_published for kind in kinds):
        short = frequency_names(comparison)
        corpora = [
            short.get(kind.runs[0].summary.get("settings", {}).get("class_frequency"), UNDEFINED) for kind in kinds
        ]
        columns["class frequency", "the corpus or table that classes are counted in"] = [*map(Cell, corpora)]
    if any(len(kind.runs) > 1 for kind in kinds):
        finished = [sum(run.is_finished for run in kind.runs) for kind in kinds]
        columns["n", "the number of finished runs, over which the others are means"] = [
            number(n, "d") for n in finished
        ]
    columns["images", "the number of training images"] = [number(kind.images, ",.0f") for kind in kinds]
    for measure in run_measures():
        title = f"{measure.title} [95 %]" if measure.has_interval else measure.title
        columns[title, measure.meaning] = [with_interval(kind, measure) for kind in kinds]
    columns["minutes", "the duration of a training"] = [number(kind.minutes, ".1f") for kind in kinds]
    columns["images/s", "the median over steps"] = [number(kind.images_per_second, ",.0f") for kind in kinds]
    return without_empty([kind.name for kind in kinds], columns)


def without_empty(rows: Iterable[str], columns: Mapping[tuple[str, str], Sequence[Cell]]) -> Table:
    """A table of columns by title and meaning, without those that are undefined in all rows."""
    known = {title: cells for title, cells in columns.items() if any(cell.text != UNDEFINED for cell in cells)}
    return Table(list(known), {name: [cells[i] for cells in known.values()] for i, name in enumerate(rows)})


def set_table(comparison: Comparison) -> Table:
    """A row for each kind, evaluation set and class frequency; empty if no run has several or retrieval.

    Columns that no row has are left out.
    """
    measures = [*run_measures(), *(m for m in MEASURES.values() if m.over == QUERIES and not m.is_main)]
    rows, of = {}, {}
    single = (
        len(run.sets) < 2 and len(run.last_evaluations()) < 2 and run.latest is run.evaluation
        for _, run in comparison.runs
    )
    if all(single):
        return Table([], rows, of)
    short = frequency_names(comparison)
    for kind in comparison.kinds:
        for on in dict.fromkeys(on for run in kind.runs for on in run.sets):
            found: dict[str, list[Mapping[str, Any]]] = {}
            for run in kind.runs:
                for frequency, line in run.last_evaluations(on).items():
                    found.setdefault(frequency, []).append(line)
            for frequency, lines in found.items():
                row = f"{kind.name} on {on}" + (f", by {short[frequency]}" if len(found) > 1 else "")
                rows[row] = [number(mean_of([line.get(m.key) for line in lines]), m.format) for m in measures]
                of[row] = kind.name
    columns = zip(((measure.title, measure.meaning) for measure in measures), zip(*rows.values()))
    return without_empty(rows, dict(columns))._replace(of=of)


def measure_table(comparison: Comparison) -> Table:
    """The other measures, if they were computed: overconfidence, neural collapse, similarities."""
    kinds, others = comparison.evaluated, [measure for measure in MEASURES.values() if measure not in run_measures()]
    columns = {(m.title, m.meaning): [number(kind.mean(m.key), m.format) for kind in kinds] for m in others}
    table = without_empty([kind.name for kind in kinds], columns)
    return table if table.header else Table([], {})


def transfer_table(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Scores by kind or model, and a column for each set and method."""
    titles, rows = by_column(results)
    scores = {
        name: [number(mean_of([result["score"] for result in cell]), ".1f") for cell in cells]
        for name, cells in rows.items()
    }
    return Table([(title, "") for title in titles], scores, first="model")


def columns_of(table: Table) -> tuple[list[str], list[list[Any]]]:
    """A table as a header and rows for programs, with separate columns for the bounds of intervals."""
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
    """The number of a cell, or its text; None if it is undefined."""
    if cell.text == UNDEFINED:
        return None
    if cell.value is None:
        return cell.text
    return int(cell.value) if float(cell.value).is_integer() else cell.value


def number(value: float, form: str) -> Cell:
    if math.isinf(value):
        return Cell(format_number(value, form))
    return Cell(UNDEFINED, -math.inf) if math.isnan(value) else Cell(format_number(value, form), float(value))


def with_interval(group: RunGroup, measure: Measure) -> Cell:
    value, bounds = group.value(measure.key), group.interval(measure.key)
    if bounds is None or not math.isfinite(value):
        return number(value, measure.format)
    return Cell(format_interval(value, bounds, measure.format), value, bounds)


def frequency_names(comparison: Comparison) -> dict[str, str]:
    """Short names of the corpora and tables whose class frequencies published models are compared with."""
    runs = [run for _, run in comparison.runs if run.is_published]
    return short_names(
        dict.fromkeys(name for run in runs for on in run.sets for name in run.last_evaluations(on) if name)
    )
