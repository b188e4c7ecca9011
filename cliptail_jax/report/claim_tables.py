"""The tables of claims, each built once for report.md, the terminal and the page. A column is an entry in `CLAIM_COLUMNS`."""

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from cliptail_jax.claims.verdicts import CONTRADICTED, INCONCLUSIVE, NO_EFFECT, SUPPORTED, ClaimResult
from cliptail_jax.host.text import UNDEFINED
from cliptail_jax.metrics.measures import format_of
from cliptail_jax.report.layout import Cell, Column, Row, Table, cell, without_empty_columns
from cliptail_jax.report.notes import change_notes, looks_note, one_replicate_notes
from cliptail_jax.results.claims import CLAIM
from cliptail_jax.results.group import mean_of


def means_of(claim: ClaimResult) -> Cell:
    """The mean of each of the first two runs over seeds or pairs: '71.2 − 65.0'."""
    means = (cell(mean_of(values), format_of(claim.statistic)).text for values in zip(*claim.by_seed))
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
           "no effect if the interval of the difference lies within ± the margin; otherwise supported if it lies above 0 (or above "
           "the points that the claim states), contradicted if it lies below, and else inconclusive; a claim that runs are equal "
           "is supported if the interval lies within ± the margin, and contradicted if it lies outside",
           value=lambda claim: Cell(claim.verdict), is_strong=True),
    Column("corrected", "corrected", "the verdict, if all verdicts are to hold jointly with 95 % confidence (Holm, 1979)",
           value=lambda claim: Cell(claim.corrected), is_optional=True),
]  # fmt: skip


def claim_table(claims: Sequence[ClaimResult]) -> Table:
    """A row for each claim."""
    rows = []
    for claim in claims:
        cells = {column.key: column.value(claim) for column in CLAIM_COLUMNS}
        details = [f"{claim.quantity}: {claim.comparison}", *([claim.obstacle] if claim.obstacle else [])]
        rows.append(Row(claim.text, cells, claim.change.mark, details))
    notes = [*one_replicate_notes(claims), *looks_note(claims), *change_notes(claims)]
    has_later_claim = any(claim.change.mark == CLAIM for claim in claims)
    remarks = [] if has_later_claim else ["The claims were stated before the first run (claims.json)."]
    columns = CLAIM_COLUMNS
    if any(claim.look for claim in claims):
        title = "difference [level of its look]"  # in place of the level of all
        columns = [
            dataclasses.replace(column, title=title, has_interval=False) if column.has_interval else column
            for column in columns
        ]
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
        repetitions.setdefault((claim.text, claim.quantity), []).append(claim)
    rows = [
        Row(text, {column.key: column.value(repeated_claims) for column in REPEATED_COLUMNS}, details=[statistic])
        for (text, statistic), repeated_claims in repetitions.items()
        if len(repeated_claims) > 1
    ]
    return without_empty_columns(Table("claim under several recipes", REPEATED_COLUMNS, rows))
