"""The table of runs, built once for report.md, the terminal and the page.

A column of the table of runs is an entry in `run_columns`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cliptail_jax.experiments.kinds import kind_name
from cliptail_jax.host.text import format_number
from cliptail_jax.metrics.measures import MEASURES, Measure, main_measures
from cliptail_jax.report.layout import Cell, Column, Row, Table, cell, without_empty_columns
from cliptail_jax.report.notes import left_out_note
from cliptail_jax.results.group import RunGroup

# Of report.json: 'means', by group and column, and 'bias', by group and measure, which has all estimates with intervals.
RunNumbers = Mapping[str, Mapping[str, Mapping[str, Any]]]


def run_columns() -> list[Column]:
    """The columns of the table of runs, with their values for a `RunGroup`; `table_of_numbers` leaves out empty columns."""
    return [
        Column("finished", "n", "the number of finished runs, if there are several; all other columns are means over them", "d",
               lambda group: sum(run.is_finished for run in group.runs) if len(group.runs) > 1 else None,
               only="page"),
        Column("images", "images", "the number of training images", ",.0f", lambda group: group.images),
        *(measure_column(measure, is_optional=True) for measure in main_measures()),
        measure_column(MEASURES["ece"], only="page"),
        Column("minutes", "minutes", "the duration of a training", ".1f", lambda group: group.minutes),
        Column("images_per_second", "images/s", "the median over steps", ",.0f", lambda group: group.images_per_second,
               only="page"),
    ]  # fmt: skip


def measure_column(measure: Measure, **options: bool | str) -> Column:
    """The column of a measure. With an interval it has no `value`: `run_cell` takes both from `RunGroup.estimates`."""
    key, has_interval = measure.key, measure.has_interval
    mean = None if has_interval else lambda group: group.mean(key)
    return Column(key, measure.title, measure.meaning, measure.format, mean, has_interval, **options)


def run_numbers(groups: Iterable[RunGroup]) -> RunNumbers:
    """The numbers of the table of runs, as report.json has them.

    `chance_note` is the reason why a group counts as at chance, or ''. `left_out` is the number of classes that a slope
    leaves out. `beyond` is '<' or '>' for a number far outside of the data, since JSON has no infinity.
    """
    means, bias, columns = {}, {}, run_columns()
    for group in groups:
        values = {column.key: column.value(group) for column in columns if column.value}
        means[group.name] = values | {"chance_note": group.chance_note()}
        bias[group.name] = {
            key: estimate._asdict()
            | ({"left_out": group.left_out(key)} if MEASURES[key].exclusion else {})
            | ({"beyond": format_number(estimate.value, "")} if math.isinf(estimate.value) else {})
            for key, estimate in group.estimates.items()
        }
    return {"means": means, "bias": bias}


def run_cell(column: Column, means: Mapping[str, Any], bias: Mapping[str, Mapping[str, Any]]) -> Cell:
    """A number of a group, with its interval if it has a finite one. Undefined numbers from JSON are None."""
    number = bias.get(column.key, {"value": means.get(column.key)})
    bounds = number.get("low"), number.get("high")
    is_finite = all(bound is not None and math.isfinite(bound) for bound in bounds)
    return cell(number.get("beyond", number["value"]), column.format, bounds if is_finite else None)


def table_of_numbers(numbers: RunNumbers, labels: Mapping[str, str] | None = None) -> Table:
    """The table of runs without notes, from numbers in memory or in report.json; labels as for `kind_name`."""
    columns, rows = run_columns(), []
    for name, means in numbers["means"].items():
        cells = {column.key: run_cell(column, means, numbers["bias"][name]) for column in columns}
        mark = " (at chance)" if means["chance_note"] else ""
        rows.append(Row(name, cells, mark, label=kind_name(name, labels)))
    return without_empty_columns(Table("run", columns, rows))


def run_table(groups: Sequence[RunGroup], has_claims: bool) -> Table:
    """A row for each group of runs. `has_claims` is whether there are claims on them."""
    numbers, notes = run_numbers(groups), []
    sizes = sorted({len(group.runs) for group in groups})
    if sizes and sizes[-1] > 1:
        notes.append(f"Means over {' to '.join(map(str, dict.fromkeys((sizes[0], sizes[-1]))))} runs of each kind.")
    if half_pairs := [group.name for group in groups if any(0 < len(runs) < group.size for runs in group.replicates)]:
        notes.append(
            f"Not all mirrored pairs of {', '.join(half_pairs)} are complete: means over one half are not those of a pair."
        )
    for name, means in numbers["means"].items():
        if note := means["chance_note"]:
            text = f"{name} is at chance, where a small slope is no robustness: {note}. Claims on it are not tested."
            notes.append(text)
    notes += left_out_note(groups, has_claims)
    has_replicates = any(len(group.replicates) > 1 for group in groups)
    remarks = [
        f"[95 %]: a bootstrap interval over classes{', widened by the variance between seeds' * has_replicates}."
    ]
    if pairs := max((len(group.replicates) for group in groups if group.size > 1), default=0):
        remarks.append(
            f"There {'is 1 mirrored pair' if pairs == 1 else f'are {pairs} mirrored pairs'}: in the second run of a pair, the "
            "order of class frequencies is reversed, so each class is as often rare as frequent. Slopes have fixed effects of "
            "classes."
        )
    labels = {group.name: group.label if group.label != group.name else "" for group in groups}
    return table_of_numbers(numbers, labels)._replace(notes=notes, explanations=remarks)


def warnings_of(groups: Iterable[RunGroup]) -> dict[str, str]:
    """The warnings of trainings, by run."""
    warnings: dict[str, list[str]] = {}
    for group in groups:
        for run in group.runs:
            texts = [*run.warnings, *([] if run.is_finished else ["its training has not ended"])]
            warnings.setdefault(f"{group.name} {run.seed}".strip(), []).extend(texts)
    return {name: "; ".join(dict.fromkeys(texts)) for name, texts in warnings.items() if texts}
