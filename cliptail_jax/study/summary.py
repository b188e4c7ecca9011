"""The summary that a study prints at its end: runs and verdicts as tables that fit a terminal."""

import textwrap
from collections.abc import Sequence

from cliptail_jax.metrics.measures import Measure
from cliptail_jax.report.left_out import left_out_note
from cliptail_jax.results.claims import ClaimResult, one_replicate_note
from cliptail_jax.results.study import Study
from cliptail_jax.runs.tables import format_number, pad_columns, plain_table
from cliptail_jax.study.report import Claims, Groups, means_note, shown_measures, title_of, transfer_rows, transfers_of
from cliptail_jax.study.stated_claims import CLAIM, RECIPE

UNCORRECTED = "*"  # marks a verdict that does not hold with those of all claims together
FOOTNOTES = {
    UNCORRECTED: "inconclusive when corrected for the number of claims",
    CLAIM: "added or changed after the first run",
    RECIPE: "the recipe of its runs was changed after the first run",
}


def summary(study: Study, groups: Groups, claims: Claims, columns: int) -> str:
    """The results of a study, for a terminal with a number of columns."""
    lines = [study.title, "", *runs_table(groups, columns)]
    if transferred := transfer_rows(transfers_of(groups)):
        lines += ["", *plain_table(transferred)]
    if claims:
        lines += ["", *claims_table(claims, columns)]
    means = f"{means_note(groups)} " if any(len(group.runs) > 1 for group in groups.values()) else ""
    notes = [f"{means}The report explains the columns, and has their intervals."]
    notes += [f"{name} failed: {reason}" for name, reason in study.failures.items()]
    notes += [f"{name}: {text}" for name, group in groups.items() for run in group.runs for text in run.warnings]
    notes += left_out_note(groups.values(), bool(claims))
    notes += one_replicate_note(claims.values())
    for note in notes:
        lines += ["", *textwrap.wrap(note, columns)]
    return "\n".join(lines)


def runs_table(groups: Groups, columns: int) -> list[str]:
    """A row for each kind of runs, with the main measures that fit, and their titles in two lines."""
    measures = shown_measures(groups)
    while max(map(len, lines := table_of(groups, measures))) > columns and len(measures) > 1:
        measures = measures[:-1]
    return lines


def table_of(groups: Groups, measures: Sequence[Measure]) -> list[str]:
    """The lines of the table with some measures."""
    titles = ["run", "images", *(measure.title.replace("_", " ") for measure in measures), "minutes"]
    above, below = zip(*(title.rpartition(" ")[::2] for title in titles))
    rows = [
        [
            title_of(group.name, group.chance_note()),
            f"{group.images:,.0f}",
            *(format_number(group.value(measure.key), measure.format) for measure in measures),
            f"{group.minutes:.1f}",
        ]
        for group in groups.values()
    ]
    return plain_table([above, below, *rows])


def claims_table(claims: Claims, columns: int) -> list[str]:
    """A row for each claim: the verdict, the difference, and the wrapped claim; then the footnotes."""
    rows = [("verdict", "difference [95 %]"), *((verdict(c), c.shown_difference) for c in claims.values())]
    left = ["  ".join(row) + "  " for row in pad_columns(rows)]
    texts, width = [["claim"]], max(columns - len(left[0]), 20)
    for c in claims.values():
        parts = (c.text + c.change.mark, f"{c.measured}: {c.compared}", c.obstacle)
        texts.append([line for part in parts for line in textwrap.wrap(part, width)])
    lines = []
    for start, text in zip(left, texts):
        lines += [start + text[0], *(" " * len(start) + more for more in text[1:])]
    shown = "".join(verdict(c) + c.change.mark for c in claims.values())
    notes = [f"{mark} {meaning}" for mark, meaning in FOOTNOTES.items() if mark in shown]
    return [*lines, *([""] if notes else []), *notes]


def verdict(claim: ClaimResult) -> str:
    """Its verdict, with a mark if the correction for the number of claims changes it."""
    return claim.verdict + (UNCORRECTED if claim.corrected != claim.verdict else "")
