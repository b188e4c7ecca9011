"""A table as a value: all tables are one, whose text is in Markdown or for a terminal; the page has a template.

The texts of numbers, intervals and undefined values are those of `cliptail_jax.host.text`.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import wcwidth

from cliptail_jax.host.text import UNDEFINED, format_bounds, format_number

LABEL = "kind"  # the heading of the labels of rows


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        meaning: a phrase that explains it.
        format: of its numbers, as `format` takes it.
        value: a function from the object of a row to the number, text or `Cell` in this column.
        has_interval: whether its numbers have 95 % intervals.
        is_optional: whether a terminal that is too narrow leaves it out.
        only: 'page' or 'text' if only the page, or only report.md and the terminal, have it.
        is_strong: whether it is emphasized.
    """

    key: str
    title: str
    meaning: str = ""
    format: str = ""
    value: Callable[[Any], Any] | None = None
    has_interval: bool = False
    is_optional: bool = False
    only: str = ""
    is_strong: bool = False

    @property
    def heading(self) -> str:
        return f"{self.title} [95 %]" if self.has_interval else self.title


class Cell(NamedTuple):
    """A cell: its text and that of its interval, and for sorting and programs its value and the interval's bounds.

    The value is None where it is undefined.
    """

    number: str
    interval: str = ""
    value: float | str | None = None
    bounds: Sequence[float] | None = None

    @property
    def text(self) -> str:
        return f"{self.number} {self.interval}".rstrip()


class Row(NamedTuple):
    """A row.

    Attributes:
        cells: by the key of their column.
        mark: a text after the name, such as '†'.
        details: further texts about the row.
        kind: the kind of runs that the row is on, if that is not its name.
        label: its label for people, if that is not its name.
    """

    name: str
    cells: Mapping[str, Cell]
    mark: str = ""
    details: Sequence[str] = ()
    kind: str = ""
    label: str = ""


class Table(NamedTuple):
    """A table.

    Attributes:
        first: the title of the names of rows.
        notes: what a reader must know of the rows.
        explanations: how the numbers are computed, which a terminal leaves out.
    """

    first: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    explanations: Sequence[str] = ()


def cell(value: float | str | Cell | None, format_spec: str = "", bounds: Sequence[float] | None = None) -> Cell:
    """A text; or a number with its interval, if that has two bounds; a cell as it is."""
    if isinstance(value, Cell):
        return value
    text = value if isinstance(value, str) else format_number(value, format_spec)
    if text == UNDEFINED:
        return Cell(UNDEFINED)
    if isinstance(value, str) or math.isinf(value):
        return Cell(text, value=text)
    interval = format_bounds(bounds, format_spec)
    return Cell(text, interval, value, bounds if interval else None)


def table_of(first: str, columns: Sequence[Column], objects: Iterable[Any], name: Callable[[Any], str] = str) -> Table:
    """A table with a row for each object, with its name and the values of the columns."""
    rows = [Row(name(item), {c.key: cell(c.value(item), c.format) for c in columns}) for item in objects]
    return Table(first, columns, rows)


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table of texts, of which the first in each row is its name.

    >>> markdown(text_table(["run", "top-1 %"], [["sl", "54.8"]]))
    ['| run | top-1 % |', '| --- | --- |', '| sl | 54.8 |']
    """
    columns = [Column(str(number), title) for number, title in enumerate(header[1:])]
    return Table(
        header[0], columns, [Row(row[0], dict(zip((c.key for c in columns), map(Cell, row[1:])))) for row in rows]
    )


def without_empty_columns(table: Table) -> Table:
    """The table without the columns that are undefined in all rows."""
    columns = [c for c in table.columns if any(row.cells[c.key].number != UNDEFINED for row in table.rows)]
    return table._replace(columns=columns)


def text_rows(table: Table) -> list[list[str]]:
    """The texts of all cells, with a header. If rows have labels, these are in the second column."""
    table = shown_in("text", table)
    heads = [table.first, *[LABEL] * any(row.label for row in table.rows)]
    rows = [[*heads, *(column.heading for column in table.columns)]]
    for row in table.rows:
        name = row.name + row.mark + f" ({'; '.join(row.details)})" * bool(row.details)
        rows.append([*[name, row.label][: len(heads)], *(row.cells[column.key].text for column in table.columns)])
    return rows


def markdown(table: Table, is_padded: bool = False) -> list[str]:
    """The lines of the table in Markdown; padded, they can be read in a terminal, too."""
    header, *rows = text_rows(table)
    columns = shown_in("text", table).columns
    strong = [False] * (len(header) - len(columns)) + [column.is_strong for column in columns]
    rows = [[f"**{text}**" * is_strong or text for text, is_strong in zip(row, strong)] for row in rows]
    header, *rows = pad_columns([header, *rows]) if is_padded else [header, *rows]
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def legend(table: Table) -> str:
    """The meanings of the columns, and how the numbers are computed, in Markdown."""
    meanings = [f"**{column.title}**: {column.meaning}" for column in shown_in("text", table).columns if column.meaning]
    return " ".join([f"{'; '.join(meanings)}.", *table.explanations])


def text_lines(table: Table, align: str = "<") -> list[str]:
    """The lines of the table for a terminal of any width, with intervals, and columns aligned as by `pad_columns`."""
    return padded_lines(text_rows(table), align)


def label_lines(texts: Iterable[tuple[str, str]], indent: int = 0) -> list[str]:
    """Lines of a label and a text each, for a terminal."""
    return [" " * indent + line for line in padded_lines([*texts], "<")]


def plain(table: Table, width: int) -> list[str]:
    """The lines of the table for a terminal, without intervals and without the last optional columns if they do not fit.

    Titles are in two lines if one has several words.
    """
    columns = shown_in("text", table).columns
    titles = [table.first, *(column.title.replace("_", " ") for column in columns)]
    rows = [[row.name + row.mark, *(row.cells[column.key].number for column in columns)] for row in table.rows]
    lines = padded_lines([*zip(*map(in_two_lines, titles)), *rows], "<>")
    optional = [column for column in columns if column.is_optional]
    if optional and max(map(width_of, lines)) > width:
        return plain(table._replace(columns=[column for column in columns if column != optional[-1]]), width)
    return lines


def in_two_lines(title: str) -> tuple[str, str]:
    """The title, divided between words so that it is as narrow as possible."""
    words = title.split(" ")
    divisions = ((" ".join(words[:n]), " ".join(words[n:])) for n in range(len(words)))
    return min(divisions, key=lambda lines: max(map(width_of, lines)))


def shown_in(place: str, table: Table) -> Table:
    """The table with its columns on the 'page', or in 'text'."""
    return table._replace(columns=[column for column in table.columns if column.only in ("", place)])


def padded_lines(rows: Sequence[Sequence[str]], align: str) -> list[str]:
    return ["  ".join(cells).rstrip() for cells in pad_columns(rows, align)]


def pad_columns(rows: Sequence[Sequence[str]], align: str = "<") -> list[list[str]]:
    """The rows with the cells of each column padded to the same width.

    `align` has '<' (left) or '>' (right) for each column; its last letter is also that of all further columns.
    """
    widths = [max(map(width_of, column)) for column in zip(*rows)]
    sides = align.ljust(len(widths), align[-1])
    padded_rows = []
    for row in rows:
        cells = []
        for text, side, width in zip(row, sides, widths):
            spaces = " " * (width - width_of(text))
            cells.append(spaces + text if side == ">" else text + spaces)
        padded_rows.append(cells)
    return padded_rows


def width_of(text: str) -> int:
    """The columns that a text takes in a terminal: two for a Chinese or Japanese character, none for a combining one."""
    width = -1 if text.isascii() else wcwidth.wcswidth(text)  # which takes longer
    return len(text) if width < 0 else width  # negative with control characters
