"""Tables of reports, and the format of their numbers and lists."""

import math
from collections.abc import Sequence

UNDEFINED = "–"


def shortened_list(names: Sequence[str], shown: int, what: str = "") -> str:
    """The first names, and the number of the others: 'a, b and 1,000 more', or '... more pairs' with `what`."""
    more = f" and {len(names) - shown:,} more {what}".rstrip()
    return ", ".join(names[:shown]) + more * (len(names) > shown)


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table. The first row is its header."""
    return [f"| {' | '.join(cells)} |" for cells in (rows[0], ["---"] * len(rows[0]), *rows[1:])]


def pad_columns(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows with the cells of each column padded to the same width, for plain text."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [[cell.ljust(width) for cell, width in zip(row, widths)] for row in rows]


def plain_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table for a terminal. The first column is aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in rows]


def format_number(value: float | None, format_spec: str) -> str:
    """The number; '–' for None and nan, and '<' or '>' for infinity (beyond the data)."""
    if value is not None and math.isinf(value):
        return "<" if value < 0 else ">"
    return UNDEFINED if value is None or math.isnan(value) else format(value, format_spec)


def format_interval(value: float | None, bounds: Sequence[float | None] | None, format_spec: str) -> str:
    """The number with the bounds of its interval, if it has one: '0.42 [0.31, 0.55]', or '–' if it is undefined."""
    number = format_number(value, format_spec)
    low, high = (format_number(bound, format_spec) for bound in bounds or (None, None))
    return number if UNDEFINED in (number, low, high) or number in ("<", ">") else f"{number} [{low}, {high}]"
