"""The tables of results, of runs, claims and transfers, each built once for report.md, the terminal and the page.

A column of the table of runs is an entry in `run_columns`, and one of the table of claims an entry in `CLAIM_COLUMNS`.
"""

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cliptail_jax.claims.verdicts import CONTRADICTED, INCONCLUSIVE, NO_EFFECT, SUPPORTED, ClaimResult
from cliptail_jax.experiments.kinds import kind_name
from cliptail_jax.host.text import UNDEFINED, format_number
from cliptail_jax.metrics.measures import MEASURES, Measure, format_of, main_measures
from cliptail_jax.report.layout import Cell, Column, Row, Table, cell, without_empty_columns
from cliptail_jax.report.notes import change_notes, left_out_note, looks_note, one_replicate_notes
from cliptail_jax.results.claims import CLAIM
from cliptail_jax.results.group import RunGroup, mean_of
from cliptail_jax.results.transfers import METHODS, Transfer

# The numbers of groups of runs in report.json: `means` and `bias`, by the group's name and the column's key.
RunNumbers = Mapping[str, Mapping[str, Mapping[str, Any]]]


def run_columns() -> list[Column]:
    """The columns of the table of runs, with their values for a `RunGroup`. Columns without a defined value are left out."""
    return [
        Column("finished", "n", "the number of finished runs, if there are several; the others are means", "d",
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
    """A measure of runs; its intervals come from `RunGroup.bias`."""
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
            | ({"left_out": group.left_out(key)} if MEASURES[key].left_out else {})
            | ({"beyond": format_number(estimate.value, "")} if math.isinf(estimate.value) else {})
            for key, estimate in group.bias.items()
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
    if halves := [group.name for group in groups if any(0 < len(runs) < group.size for runs in group.replicates)]:
        notes.append(
            f"Not all mirrored pairs of {', '.join(halves)} are complete: means over one half are not those of a pair."
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
    return table_of_numbers(numbers, labels)._replace(notes=notes, about=remarks)


def means_of(claim: ClaimResult) -> Cell:
    means = (cell(mean_of(of_run), format_of(claim.statistic)).text for of_run in zip(*claim.by_seed))
    return Cell(" − ".join(means) or UNDEFINED)


def difference_of(claim: ClaimResult) -> Cell:
    value, *bounds = claim.interval or (None,)
    return cell(value, format_of(claim.statistic), bounds)


CLAIM_COLUMNS = [
    Column("means", "means", "of the statistic of the first two runs, over seeds or pairs",
           value=means_of, is_optional=True, only="text"),
    Column("positive", "positive", "the number of seeds or pairs with a positive difference",
           value=lambda claim: Cell(f"{sum(a > b for a, b in claim.by_seed)} of {len(claim.by_seed)}"), is_optional=True,
           only="text"),
    Column("difference", "difference", "of the statistic, paired by class and seed", value=difference_of, has_interval=True),
    Column("margin", "margin", "the largest difference that counts as none",
           value=lambda claim: cell(claim.margin, "g"), is_optional=True),
    Column("verdict", "verdict",
           "supported if the interval of the difference lies above 0 (or above the points that the claim states), contradicted "
           "if it lies below, no effect if it lies "
           "within ± the margin, and otherwise inconclusive; a claim that runs are equal is supported if the interval lies "
           "within ± the margin, and contradicted if it lies outside",
           value=lambda claim: Cell(claim.verdict), is_strong=True),
    Column("corrected", "corrected", "the verdict, if all verdicts are to hold jointly with 95 % confidence (Holm, 1979)",
           value=lambda claim: Cell(claim.corrected), is_optional=True),
]  # fmt: skip


def claim_table(claims: Sequence[ClaimResult]) -> Table:
    """A row for each claim."""
    rows = []
    for claim in claims:
        cells = {column.key: column.value(claim) for column in CLAIM_COLUMNS}
        details = [f"{claim.measured}: {claim.compared}", *([claim.obstacle] if claim.obstacle else [])]
        rows.append(Row(claim.text, cells, claim.change.mark, details))
    notes = [*one_replicate_notes(claims), *looks_note(claims), *change_notes(claims)]
    is_late = any(claim.change.mark == CLAIM for claim in claims)
    remarks = [] if is_late else ["The claims were stated before the first run (claims.json)."]
    columns = CLAIM_COLUMNS
    if any(claim.look for claim in claims):
        of_look = {"title": "difference [level of its look]", "has_interval": False}
        columns = [dataclasses.replace(column, **of_look if column.has_interval else {}) for column in columns]
    return Table("claim", columns, rows, notes, remarks)


REPEATED_COLUMNS = [
    Column("recipes", "recipes", "the number of recipes under which the claim was tested", "d",
           lambda claims: cell(len(tested(claims)), "d")),
    Column("not_tested", "not tested", "the number of recipes for which it could not be tested, as a run failed", "d",
           lambda claims: cell(len(claims) - len(tested(claims)) or None, "d")),
    Column("sign", "claimed sign", "the share of them in which the difference has the claimed sign", ".0%",
           lambda claims: Cell(UNDEFINED) if claims[0].equal else share(claims, lambda claim: claim.difference.value > 0)),
    *(Column(verdict, verdict, "", ".0%", lambda claims, verdict=verdict: share(claims, lambda c: c.verdict == verdict))
      for verdict in (SUPPORTED, NO_EFFECT, INCONCLUSIVE, CONTRADICTED)),
    Column("difference", "median difference [range]", "the smallest and the largest are in brackets",
           value=lambda claims: range_of(claims)),
]  # fmt: skip


def tested(claims: Sequence[ClaimResult]) -> list[ClaimResult]:
    return [claim for claim in claims if claim.difference]


def share(claims: Sequence[ClaimResult], has: Callable[[ClaimResult], bool]) -> Cell:
    """The share of the tested claims; undefined without any."""
    return cell(mean_of([has(claim) for claim in tested(claims)]), ".0%")


def range_of(claims: Sequence[ClaimResult]) -> Cell:
    values = [claim.difference.value for claim in tested(claims)] or [math.nan]
    return cell(statistics.median(values), format_of(claims[0].statistic), (min(values), max(values)))


def repeated_table(claims: Iterable[ClaimResult]) -> Table:
    """A row for each claim that a study tests under several recipes: those of the same text and statistic."""
    repetitions: dict[tuple[str, str], list[ClaimResult]] = {}
    for claim in claims:
        repetitions.setdefault((claim.text, claim.measured), []).append(claim)
    rows = [
        Row(text, {column.key: column.value(of_text) for column in REPEATED_COLUMNS}, details=[statistic])
        for (text, statistic), of_text in repetitions.items()
        if len(of_text) > 1
    ]
    return without_empty_columns(Table("claim under several recipes", REPEATED_COLUMNS, rows))


def transfer_table(transfers: Mapping[str, Sequence[Transfer]]) -> Table:
    """A row for each group of runs or model with results, and a column for each set and method."""
    by_column: dict[str, dict[str, list[Transfer]]] = {}
    columns = {}
    for name, results in transfers.items():
        for result in results:
            title = f"{result['set']}: {METHODS[result['method']].lower()} %"
            columns[title] = Column(title, title)
            by_column.setdefault(name, {}).setdefault(title, []).append(result)
    rows = [Row(name, {key: score(cells.get(key, [])) for key in columns}) for name, cells in by_column.items()]
    return Table("model", list(columns.values()), rows)


def score(results: Sequence[Transfer]) -> Cell:
    """The mean score over seeds; a single result has its margin, if any."""
    mean = cell(mean_of([result["score"] for result in results]), ".1f")
    margin = results[0].get("margin") if len(results) == 1 else None
    return mean if margin is None else mean._replace(number=f"{mean.number} ± {margin:.1f}")


def warnings_of(groups: Iterable[RunGroup]) -> dict[str, str]:
    """The warnings of trainings, by run."""
    warnings: dict[str, list[str]] = {}
    for group in groups:
        for run in group.runs:
            texts = [*run.warnings, *([] if run.is_finished else ["its training has not ended"])]
            warnings.setdefault(f"{group.name} {run.seed}".strip(), []).extend(texts)
    return {name: "; ".join(dict.fromkeys(texts)) for name, texts in warnings.items() if texts}
