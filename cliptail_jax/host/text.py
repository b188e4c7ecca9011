"""Texts of numbers, intervals, lists and tables for programs."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

UNDEFINED = "–"


def shortened_list(names: Sequence[str], number: int, noun: str = "") -> str:
    """The first names, and the number of the others: 'a, b and 1,000 more', or '... more pairs' with the noun."""
    suffix = f" and {len(names) - number:,} more {noun}".rstrip()
    return ", ".join(names[:number]) + suffix * (len(names) > number)


def format_number(value: float | None, format_spec: str) -> str:
    """The number; '–' for None and nan, and '<' or '>' for infinity (beyond the data)."""
    if value is not None and math.isinf(value):
        return "<" if value < 0 else ">"
    return UNDEFINED if value is None or math.isnan(value) else format(value, format_spec)


def format_bounds(bounds: Sequence[float | None] | None, format_spec: str) -> str:
    """The bounds of an interval: '[0.31, 0.55]', or '' if there are none or one is undefined."""
    low, high = (format_number(bound, format_spec) for bound in bounds or (None, None))
    return "" if UNDEFINED in (low, high) else f"[{low}, {high}]"


def tsv(header: Iterable[Any], rows: Iterable[Iterable[Any]]) -> str:
    """The lines of a table with tabs between its cells."""
    return "".join("\t".join(map(str, row)) + "\n" for row in (header, *rows))
