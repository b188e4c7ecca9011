"""Tables as lines of text, in Markdown and for terminals."""

from collections.abc import Sequence


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
