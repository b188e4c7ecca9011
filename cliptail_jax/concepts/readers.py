"""The file formats of captions: parquet, TSV and CSV with a header, JSON lines, shards, text with one caption per line.

A format reads the captions of an open file as Arrow arrays of text or of UTF-8, with nulls for missing ones. Bytes that
are not UTF-8 are kept. Files with columns can also be read row by row. Files are read in chunks, except for MetaCLIP's
data cards.
"""

import collections
import csv
import functools
import io
import itertools
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet
from jaxtyping import Int

from cliptail_jax.concepts.batches import arrow_chunks, is_text
from cliptail_jax.concepts.frequency_tables import overflow
from cliptail_jax.concepts.shards import samples_in
from cliptail_jax.errors import UserError

CHUNK_BYTES = 1 << 22
CHUNK_ROWS = 1 << 16
ROWS_AT_ONCE = 64  # of tables that may contain images
FIRST_LINES = 100  # of JSON lines, or samples of a shard: their keys are the columns

# The missing values of pandas, with which the paper read its tables.
MISSING = ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"]
MISSING += ["N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]

END_OF_TABLE = "end of table"
UNENDED_QUOTE = """a '"' begins a quoted value that never ends"""

Columns = dict[str, str]  # names, each with "text" or the name of another type


class DamagedFileError(UserError):
    """A file cannot be read to its end; the message names the file and the reason."""


class Format(NamedTuple):
    """How to read a kind of file.

    Attributes:
        columns: gives a file's columns; {} for a file without columns.
        captions: reads a column.
        rows: reads at least the given columns of every row, if they exist; None for a file without columns.
    """

    columns: Callable[[BinaryIO], Columns]
    captions: Callable[[BinaryIO, str], Iterator[pa.Array]]
    rows: Callable[[BinaryIO, Sequence[str]], Iterator[dict]] | None


def check_distinct(columns: Sequence[str]) -> None:
    """Raises DamagedFileError if two columns have the same name."""
    name, times = collections.Counter(columns).most_common(1)[0] if columns else ("", 0)
    if times > 1:
        raise DamagedFileError(f"{times} of its columns have the name {name!r}: give each a name of its own")


# Parquet


def parquet_columns(stream: BinaryIO) -> Columns:
    schema = pa.parquet.ParquetFile(stream).schema_arrow
    check_distinct(schema.names)
    return {field.name: "text" if is_text(field.type) else str(field.type) for field in schema}


def parquet_captions(stream: BinaryIO, column: str) -> Iterator[pa.Array]:
    # With a buffer, a row group is read a page at a time, however large it is.
    file = pa.parquet.ParquetFile(stream, buffer_size=CHUNK_BYTES, pre_buffer=False)
    for rows in file.iter_batches(CHUNK_ROWS, columns=[column], use_threads=False):
        yield rows.column(0)


def parquet_rows(stream: BinaryIO, columns: Sequence[str]) -> Iterator[dict]:
    file = pa.parquet.ParquetFile(stream, buffer_size=CHUNK_BYTES, pre_buffer=False)
    present = [column for column in columns if column in file.schema_arrow.names]
    for batch in file.iter_batches(ROWS_AT_ONCE, columns=present):
        yield from batch.to_pylist()


# TSV and CSV


def table_text(stream: BinaryIO) -> io.TextIOWrapper:
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")


def table_columns(stream: BinaryIO, delimiter: str) -> Columns:
    text = table_text(stream)
    header = next(filter(None, csv.reader(text, delimiter=delimiter)), None)
    text.detach()  # leaves the stream open
    if header is None:
        raise DamagedFileError("it has no header")
    check_distinct(header)
    return dict.fromkeys(header, "text")


def table_captions(stream: BinaryIO, column: str, delimiter: str) -> Iterator[pa.Array]:
    """Reads a column as pandas does: '"' quotes, and rows may be shorter than the header, but not longer.

    pyarrow.csv, which is 20 times as fast as Python's csv module, rejects short rows and accepts a quoted value that
    never ends. Short rows are therefore read apart, and an appended row detects such a value, which would swallow it.
    """
    columns = list(table_columns(stream, delimiter))
    place = columns.index(column)
    last_row = delimiter.join(END_OF_TABLE if name == column else "" for name in columns)
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
        if str(error).startswith("straddling"):  # no row ends within a chunk
            raise DamagedFileError(f"a row has more than {CHUNK_BYTES:,} bytes; perhaps {UNENDED_QUOTE}") from error
        raise
    if last[-1:].to_pylist() != [END_OF_TABLE.encode()]:
        raise DamagedFileError(UNENDED_QUOTE)
    yield last[:-1]


class Extended:
    """A stream followed by some more bytes, with the methods that pyarrow uses."""

    closed = False

    def __init__(self, stream: BinaryIO, end: bytes):
        self.stream, self.end = stream, end

    def read(self, size: int) -> bytes:
        if content := self.stream.read(size):
            return content
        content, self.end = self.end, b""
        return content


def table_rows(stream: BinaryIO, columns: Sequence[str], delimiter: str) -> Iterator[dict]:
    header = table_columns(stream, delimiter)
    stream.seek(0)
    for number, row in enumerate(csv.DictReader(table_text(stream), delimiter=delimiter), start=1):
        if None in row:  # where csv puts what is beyond the header
            raise DamagedFileError(f"row {number} has more fields than the header, {len(header)}")
        yield row


# JSON lines


def json_columns(stream: BinaryIO) -> Columns:
    return kinds_of(json_line(*line) for line in zip(itertools.islice(stream, FIRST_LINES), itertools.count(1)))


def kinds_of(objects: Iterable[dict]) -> Columns:
    """The keys of objects, each with the type of its last value that is not null."""
    columns = {}
    for fields in objects:
        for name, value in fields.items():
            if value is not None or name not in columns:
                columns[name] = "text" if isinstance(value, str | bytes | None) else type(value).__name__
    return columns


def json_captions(stream: BinaryIO, column: str) -> Iterator[pa.Array]:
    """One object per line; an object without the column has no caption."""
    schema = pa.schema([(column, pa.large_string())])
    parsing = pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    first = 1
    while lines := stream.readlines(CHUNK_BYTES):
        text = b"".join(lines)
        options = pa.json.ReadOptions(use_threads=False, block_size=len(text) + 1)
        try:
            yield from pa.json.read_json(pa.BufferReader(text), options, parsing)[column].chunks
        except pa.ArrowInvalid:  # pyarrow is fast, but stricter than JSON, and does not name the line
            captions = []
            for number, line in enumerate(lines, start=first):
                caption = json_line(line, number).get(column)
                if not isinstance(caption, str | None):
                    raise DamagedFileError(f"line {number}: {column} is {type(caption).__name__}, not text")
                if line.strip():  # as pyarrow does, which skips blank lines
                    captions.append(caption)
            yield arrow_chunks(captions)[0]
        first += len(lines)


def json_rows(stream: BinaryIO, columns: Sequence[str]) -> Iterator[dict]:
    for number, line in enumerate(stream, start=1):
        if line.strip():
            yield json_line(line, number, errors="replace")


def json_line(line: bytes, number: int, errors: str = "surrogateescape") -> dict:
    return json_object(line, f"line {number}", errors) if line.strip() else {}


def json_object(text: bytes, what: str, errors: str = "surrogateescape") -> dict:
    try:
        value = json.loads(text.decode("utf-8-sig", errors))
    except (ValueError, RecursionError) as error:  # the latter where it is nested too deeply
        raise DamagedFileError(f"{what} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DamagedFileError(f"{what} is not a JSON object")
    return value


def read_card(stream: BinaryIO) -> tuple[pa.Array, Int[np.ndarray, " text"]]:
    """The texts and counts of a MetaCLIP data card, a JSON object from text to count.

    It is read as a whole: the published cards have half a million texts, 20 MB.
    """
    card = json_object(stream.read(), "it")
    for text, count in card.items():
        if type(count) is not int or count < 0:
            raise DamagedFileError(f"the count of {text!r} is {count!r}, not a whole number")
    if problem := overflow(list(card), list(card.values())):
        raise DamagedFileError(problem)
    return arrow_chunks(list(card))[0], np.array(list(card.values()), np.int64)


# Shards


def shard_fields(stream: BinaryIO) -> Iterator[dict]:
    """The fields of each sample: those of its .json, and 'caption' from its .txt."""
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for key, files in samples_in(archive):
                contents = {kind: archive.extractfile(files[kind]).read() for kind in ("json", "txt") if kind in files}
                fields = json_object(contents["json"], f"{key}.json") if "json" in contents else {}
                yield fields | ({"caption": contents["txt"]} if "txt" in contents else {})
    except ValueError as error:  # in a header
        raise DamagedFileError(str(error)) from error


def shard_columns(stream: BinaryIO) -> Columns:
    samples = list(itertools.islice(shard_fields(stream), FIRST_LINES))
    if samples and not any(samples):
        raise DamagedFileError("its samples have neither a .txt nor fields in a .json")
    return kinds_of(samples)


def shard_captions(stream: BinaryIO, column: str) -> Iterator[pa.Array]:
    """One caption per sample; a sample without the field has no caption."""
    samples = shard_fields(stream)
    while captions := [fields.get(column) for fields in itertools.islice(samples, CHUNK_ROWS)]:
        if wrong := [caption for caption in captions if not isinstance(caption, str | bytes | None)]:
            raise DamagedFileError(f"a sample's {column} is {type(wrong[0]).__name__}, not text")
        yield arrow_chunks(captions)[0]


# Text


def text_captions(stream: BinaryIO, column: str) -> Iterator[pa.Array]:
    """One caption per line, with its line feed, which counts as a space."""
    while lines := stream.readlines(CHUNK_BYTES):
        yield pa.array(lines, pa.large_binary())


def table(delimiter: str) -> Format:
    return Format(*(functools.partial(f, delimiter=delimiter) for f in (table_columns, table_captions, table_rows)))


JSON_LINES = Format(json_columns, json_captions, json_rows)
FORMATS = {
    ".parquet": Format(parquet_columns, parquet_captions, parquet_rows),
    ".tsv": table("\t"),
    ".csv": table(","),
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".json": JSON_LINES,
    ".tar": Format(shard_columns, shard_captions, None),
    ".txt": Format(lambda stream: {}, text_captions, None),
}
