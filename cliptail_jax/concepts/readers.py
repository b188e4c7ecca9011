"""Captions out of one open file, a chunk at a time, for each kind of file. Only a data card is held as a whole.

Columns are names, each with "text" or another type's name. Captions are Arrow arrays of text or of UTF-8, with nulls
where one is missing. Bytes that are not UTF-8 go on as they are.
"""

import collections
import csv
import io
import itertools
import json
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
from jaxtyping import Int

from cliptail_jax.concepts.batches import arrow_chunks, is_text

CHUNK_BYTES = 1 << 22
PARQUET_ROWS = 1 << 16
FIRST_LINES = 100  # of JSON lines: their keys are the columns

# What pandas, with which the study read its tables, takes for a missing value.
MISSING = ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"]
MISSING += ["N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]

END_OF_TABLE = "end of table"  # in a row that is added, to see whether it is taken for a row
UNENDED_QUOTE = """a '"' begins a quoted value that never ends"""

Columns = dict[str, str]


class DamagedError(Exception):
    """A file is not what its name says it is; the message says how."""


def parquet_columns(stream: BinaryIO) -> Columns:
    schema = pa.parquet.ParquetFile(stream).schema_arrow
    return {field.name: "text" if is_text(field.type) else str(field.type) for field in schema}


def read_parquet(stream: BinaryIO, column: str) -> Iterator[pa.Array]:
    # With a buffer, a row group is read a page at a time, however large it is.
    file = pa.parquet.ParquetFile(stream, buffer_size=CHUNK_BYTES, pre_buffer=False)
    for rows in file.iter_batches(PARQUET_ROWS, columns=[column], use_threads=False):
        yield rows.column(0)


def table_columns(stream: BinaryIO, delimiter: str) -> Columns:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
    header = next(filter(None, csv.reader(text, delimiter=delimiter)), None)
    text.detach()  # leaves the stream open
    if header is None:
        raise DamagedError("it has no header")
    return dict.fromkeys(header, "text")


def read_table(stream: BinaryIO, column: str, delimiter: str) -> Iterator[pa.Array]:
    """As pandas reads tables: '"' quotes, and a row may lack its last fields, but not have more than the header."""
    columns = list(table_columns(stream, delimiter))
    place = columns.index(column)
    last_row = delimiter.join(END_OF_TABLE * (name == column) for name in columns)
    short_rows = collections.deque()

    def keep_short(row: pa.csv.InvalidRow) -> str:
        if row.actual_columns > row.expected_columns:
            return "error"
        short_rows.append(row.text)
        return "skip"

    stream.seek(0)
    last = pa.array([], pa.large_binary())
    try:
        chunks = pa.csv.open_csv(
            Extended(stream, f"\n{last_row}\n".encode()),
            pa.csv.ReadOptions(use_threads=False, block_size=CHUNK_BYTES),
            pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=keep_short),
            pa.csv.ConvertOptions(
                check_utf8=False,
                include_columns=[column],
                column_types={column: pa.large_binary()},
                strings_can_be_null=True,
                null_values=MISSING,
            ),
        )
        for chunk in chunks:
            if chunk.num_rows:
                yield last
                last = chunk.column(0)
            rows = csv.reader([short_rows.popleft() for _ in range(len(short_rows))], delimiter=delimiter)
            yield pa.array([row[place] for row in rows if place < len(row)], pa.large_string())
    except pa.ArrowInvalid as error:
        raise DamagedError(UNENDED_QUOTE) if "straddling" in str(error) else error
    if last[-1:].to_pylist() != [END_OF_TABLE.encode()]:
        raise DamagedError(UNENDED_QUOTE)
    yield last[:-1]


class Extended(io.RawIOBase):
    """A stream with some more bytes at its end."""

    def __init__(self, stream: BinaryIO, end: bytes):
        self._streams = [stream, io.BytesIO(end)]

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        count = self._streams[0].readinto(buffer)
        if count or len(self._streams) == 1:
            return count
        self._streams.pop(0)
        return self.readinto(buffer)


def line_chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Whole lines, many at a time."""
    rest = b""
    while read := stream.read(CHUNK_BYTES):
        lines, newline, rest = (rest + read).rpartition(b"\n")
        if newline:
            yield lines + newline
    if rest:
        yield rest


def read_text(stream: BinaryIO) -> Iterator[pa.Array]:
    """A caption a line. Each keeps its line feed, which is no letter."""
    for lines in line_chunks(stream):
        ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == ord("\n")) + 1
        if not lines.endswith(b"\n"):
            ends = np.append(ends, len(lines))
        offsets = np.append(0, ends)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(lines)]
        yield pa.Array.from_buffers(pa.large_binary(), len(ends), buffers)


def json_columns(stream: BinaryIO) -> Columns:
    columns = {}
    for number, line in enumerate(itertools.islice(stream, FIRST_LINES), start=1):
        for name, value in json_line(line, number).items():
            if value is not None or name not in columns:
                columns[name] = "text" if isinstance(value, str | None) else type(value).__name__
    return columns


def read_json_lines(stream: BinaryIO, column: str) -> Iterator[pa.Array]:
    """An object a line; one without the column has no caption."""
    schema = pa.schema([(column, pa.large_string())])
    parsing = pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    first = 1
    for lines in line_chunks(stream):
        options = pa.json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
        try:
            yield from pa.json.read_json(pa.BufferReader(lines), options, parsing)[column].chunks
        except pa.ArrowInvalid:  # Arrow is quick, but stricter than JSON, and does not say where
            yield parsed_lines(lines, column, first)
        first += lines.count(b"\n")


def parsed_lines(lines: bytes, column: str, first: int) -> pa.Array:
    captions = []
    for number, line in enumerate(lines.split(b"\n"), start=first):
        caption = json_line(line, number).get(column)
        if not isinstance(caption, str | None):
            raise DamagedError(f"line {number}: {column} is {type(caption).__name__}, not text")
        captions.append(caption)
    return arrow_chunks(captions)[0]


def json_line(line: bytes, number: int) -> dict:
    return json_object(line, f"line {number}") if line.strip() else {}


def read_card(stream: BinaryIO) -> tuple[pa.Array, Int[np.ndarray, "text"]]:
    """The texts of a MetaCLIP data card, a JSON object from text to count, and their counts.

    It is parsed as a whole: the published cards have half a million texts, 20 MB.
    """
    card = json_object(stream.read(), "it")
    for text, count in card.items():
        if type(count) is not int or count < 0:
            raise DamagedError(f"the count of {text!r} is {count!r}, not a whole number")
    return arrow_chunks(list(card))[0], np.array(list(card.values()), np.int64)


def json_object(text: bytes, what: str) -> dict:
    """Parses an object. Its undecodable bytes become halves of surrogate pairs, and these undecodable bytes again."""
    try:
        value = json.loads(text.decode("utf-8-sig", errors="surrogateescape"))
    except ValueError as error:
        raise DamagedError(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DamagedError(f"{what} is not a JSON object")
    return value
