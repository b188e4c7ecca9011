"""The summary that a study prints at its end: runs and verdicts as tables that fit a terminal."""

import textwrap

from cliptail_jax.report.claim_tables import claim_table, repeated_table
from cliptail_jax.report.layout import Table, plain, text_lines, text_table
from cliptail_jax.report.lead import Lead
from cliptail_jax.report.run_tables import run_table, warnings_of
from cliptail_jax.report.study import Claims, Groups
from cliptail_jax.report.transfer_tables import transfer_table
from cliptail_jax.results.study import Study

UNCORRECTED = "*"  # marks a verdict that changes when it is corrected for the number of claims


def summary(study: Study, groups: Groups, claims: Claims, lead: Lead, forecasts: Table, columns: int) -> str:
    """The results of a study, for a terminal with a number of columns."""
    runs_table, claims_table = run_table([*groups.values()], bool(claims)), claim_table([*claims.values()])
    lines = [study.title]
    for sentences in lead.paragraphs:
        lines += ["", *textwrap.wrap(" ".join(sentences), columns, break_on_hyphens=False, break_long_words=False)]
    lines += ["", *plain(runs_table, columns)]
    if forecasts.rows:
        lines += ["", *plain(forecasts, columns), "", *forecasts.notes]
    if (transfers_table := transfer_table({name: group.transfers for name, group in groups.items()})).rows:
        lines += ["", *plain(transfers_table, columns)]
    if (repetitions := repeated_table(claims.values())).rows:
        lines += ["", *plain(repetitions, columns)]
    if claims:
        lines += ["", *plain_claims(claims_table, columns)]
    notes = ["The report explains the columns, and has their intervals."]
    notes += [f"{name} failed: {reason}" for name, reason in study.failures.items()]
    notes += [f"{name}: {text}" for name, text in warnings_of(groups.values()).items()]
    for note in (*notes, *runs_table.notes, *claims_table.notes):
        lines += ["", *textwrap.wrap(note, columns)]
    return "\n".join(lines)


def plain_claims(table: Table, width: int) -> list[str]:
    """The columns that are not optional, the claims, wrapped, and then the meaning of the mark of verdicts."""
    columns = [column for column in table.columns if not column.is_optional]
    marks = [UNCORRECTED * (row.cells["corrected"] != row.cells["verdict"]) for row in table.rows]
    cells = [
        [row.cells[column.key].text + mark * (column.key == "verdict") for column in columns]
        for row, mark in zip(table.rows, marks)
    ]
    starts = text_lines(text_table([column.heading for column in columns], cells))
    start_width = max(map(len, starts)) + 2
    starts = [start.ljust(start_width) for start in starts]
    texts = [[table.first], *([row.name + row.mark, *row.details] for row in table.rows)]
    lines = []
    for start, row_texts in zip(starts, texts):
        wrapped_lines = [line for text in row_texts for line in textwrap.wrap(text, max(width - len(start), 20))]
        lines += [start + wrapped_lines[0], *(" " * len(start) + line for line in wrapped_lines[1:])]
    return [
        *lines,
        *(["", f"{UNCORRECTED} inconclusive when corrected for the number of claims"] if any(marks) else []),
    ]
