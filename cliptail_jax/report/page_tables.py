"""The tables of the page alone: runs with corpora, evaluation sets, further measures; and tables for programs."""

from collections.abc import Iterable, Mapping
from typing import Any

from cliptail_jax.metrics.measures import MEASURES, QUERIES, Measure
from cliptail_jax.report.comparison import ComparedRuns
from cliptail_jax.report.layout import Column, Row, Table, cell, without_empty_columns
from cliptail_jax.report.run_tables import run_columns, run_table
from cliptail_jax.results.directory import short_names
from cliptail_jax.results.group import mean_of


def run_table_of(comparison: ComparedRuns, has_claims: bool) -> Table:
    """The table of runs, for published models with the corpus or table that their classes are counted in."""
    table = run_table(comparison.kinds, has_claims)
    if not any(kind.runs[0].is_published for kind in comparison.kinds):
        return table
    column = Column("class_frequency", "class frequency", "the corpus or table that classes are counted in")
    names = frequency_names(comparison)
    corpora = [names.get(kind.runs[0].summary.get("settings", {}).get("class_frequency")) for kind in comparison.kinds]
    rows = [row._replace(cells=row.cells | {column.key: cell(name)}) for row, name in zip(table.rows, corpora)]
    return without_empty_columns(table._replace(columns=[column, *table.columns], rows=rows))


def set_table(comparison: ComparedRuns) -> Table:
    """A row for each kind, evaluation set and class frequency; empty if no run has several or retrieval."""
    run_keys = {column.key for column in run_columns()}
    measures = [m for m in MEASURES.values() if m.key in run_keys or (m.population == QUERIES and not m.is_main)]
    rows: list[Row] = []
    has_one_evaluation = (
        len(run.sets) < 2 and len(run.last_evaluations()) < 2 and run.latest is run.evaluation
        for _, run in comparison.runs
    )
    names = frequency_names(comparison)
    for kind in [] if all(has_one_evaluation) else comparison.kinds:
        for set_name in dict.fromkeys(set_name for run in kind.runs for set_name in run.sets):
            by_frequency: dict[str, list[Mapping[str, Any]]] = {}
            for run in kind.runs:
                for frequency, line in run.last_evaluations(set_name).items():
                    by_frequency.setdefault(frequency, []).append(line)
            for frequency, lines in by_frequency.items():
                name = f"{kind.name} on {set_name}" + (f", by {names[frequency]}" if len(by_frequency) > 1 else "")
                cells = {m.key: cell(mean_of([line.get(m.key) for line in lines]), m.format) for m in measures}
                rows.append(Row(name, cells, kind=kind.name))
    return table_of_measures("evaluation", measures, rows)


def measure_table(comparison: ComparedRuns) -> Table:
    """The computed measures that the table of runs lacks: overconfidence, neural collapse, similarities."""
    run_keys = {column.key for column in run_columns()}
    measures = [measure for measure in MEASURES.values() if measure.key not in run_keys]
    rows = [
        Row(kind.name, {m.key: cell(kind.mean(m.key), m.format) for m in measures})
        for kind in comparison.evaluated_kinds
    ]
    return table_of_measures("run", measures, rows)


def table_of_measures(first: str, measures: Iterable[Measure], rows: list[Row]) -> Table:
    """A table with a column for each measure; without rows if all are undefined."""
    columns = [Column(measure.key, measure.title, measure.meaning) for measure in measures]
    table = without_empty_columns(Table(first, columns, rows))
    return table if table.columns else table._replace(rows=[])


def columns_of(table: Table) -> tuple[list[str], list[list[Any]]]:
    """A table as a header and rows for programs, with separate columns for the bounds of intervals."""
    columns: dict[str, list[Any]] = {table.first: [row.name for row in table.rows]}
    for column in table.columns:
        cells = [row.cells[column.key] for row in table.rows]
        columns[column.title] = [cell.value for cell in cells]
        if any(cell.bounds for cell in cells):
            for side, name in enumerate(("low", "high")):
                columns[f"{column.title}_{name}"] = [cell.bounds and cell.bounds[side] for cell in cells]
    return list(columns), [list(row) for row in zip(*columns.values())]


def frequency_names(comparison: ComparedRuns) -> dict[str, str]:
    """Short names of the corpora and tables whose class frequencies published models are compared with."""
    runs = [run for _, run in comparison.runs if run.is_published]
    return short_names(
        dict.fromkeys(name for run in runs for set_name in run.sets for name in run.last_evaluations(set_name) if name)
    )
