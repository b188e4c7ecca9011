"""The file formats of captions: parquet, TSV and CSV with a header, JSON lines, shards, text with one caption per line.

A format reads the captions of an open file as Arrow arrays of text or of UTF-8, with nulls for missing ones. Bytes that
are not UTF-8 are kept. Files with columns can also be read row by row. Files are read in chunks.
"""

import collections
import csv
import functools
import io
import itertools
import json
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet

from cliptail_jax.formats.batches import arrow_chunks, is_text
from cliptail_jax.formats.shards import samples_in
from cliptail_jax.host.errors import UserError

CHUNK_BYTES = 1 << 22
CHUNK_ROWS = 1 << 16
ROWS_AT_ONCE = 64  # of tables that may contain images
FIRST_LINES = 100  # of JSON lines, or samples of a shard: their keys are the columns

# The missing values of pandas, with which the paper read its tables.
MISSING_VALUES = {"", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"}
MISSING_VALUES |= {"N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}

ESCAPED = re.compile("[\udc80-\udcff]")  # bytes that are not UTF-8, as Python's surrogateescape reads them
END_OF_TABLE = "\0end of table\0"
csv.field_size_limit(CHUNK_BYTES)  # 128 KiB by default, which a stray quotation mark may exceed

# The exceptions that readers of tables and of archives, also compressed ones, raise.
DAMAGE = (OSError, EOFError, ValueError, tarfile.TarError, zlib.error, lzma.LZMAError, pa.ArrowException, csv.Error)

TEXT = "text"
Columns = dict[str, str]  # names, each with "text" or the name of another type


class DamagedFileError(UserError):
    """A file cannot be read to its end; the message names the file and the reason."""


class Format(NamedTuple):
    """The functions that read a kind of file.

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
    name, count = collections.Counter(columns).most_common(1)[0] if columns else ("", 0)
    if count > 1:
        raise DamagedFileError(f"{count} of its columns have the name {name!r}: give each a name of its own")


def captions_in(values: Iterable[object]) -> Iterator[pa.Array]:
    """The captions of rows, in chunks."""
    values, offset = iter(values), 0
    while chunk := list(itertools.islice(values, CHUNK_ROWS)):
        for number, value in enumerate(chunk, start=offset + 1):
            if not isinstance(value, str | bytes | None):
                raise DamagedFileError(f"the caption of row {number} is {type(value).__name__}, not text")
        yield arrow_chunks(chunk)[0]
        offset += len(chunk)


# Parquet


def parquet_columns(stream: BinaryIO) -> Columns:
    schema = pa.parquet.ParquetFile(stream).schema_arrow
    check_distinct(schema.names)
    return {field.name: TEXT if is_text(field.type) else str(field.type) for field in schema}


def parquet_captions(stream: BinaryIO, column: str) -> Iterator[pa.Array]:
    # With a buffer, a row group is read a page at a time, however large it is.
    file = pa.parquet.ParquetFile(stream, buffer_size=CHUNK_BYTES, pre_buffer=False)
    for rows in file.iter_batches(CHUNK_ROWS, columns=[column], use_threads=False):
        yield rows.column(0)


def parquet_rows(stream: BinaryIO, columns: Sequence[str]) -> Iterator[dict]:
    file = pa.parquet.ParquetFile(stream, buffer_size=CHUNK_BYTES, pre_buffer=False)
    names = [column for column in columns if column in file.schema_arrow.names]
    for batch in file.iter_batches(ROWS_AT_ONCE, columns=names):
        yield from batch.to_pylist()


# TSV and CSV


def table_text(stream: BinaryIO) -> io.TextIOWrapper:
    return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")


def table_columns(stream: BinaryIO, delimiter: str) -> Columns:
    text = table_text(stream)
    header = next(filter(None, csv.reader(text, delimiter=delimiter)), None)
    text.detach()  # leaves the stream open
    if header is None:
        raise DamagedFileError("it has no header")
    check_distinct(header)
    return dict.fromkeys(header, TEXT)


def table_fields(stream: BinaryIO, header: Sequence[str], delimiter: str) -> Iterator[list[str]]:
    """Reads rows as pandas does: '"' quotes, and rows may be shorter than the header, but not longer.

    An appended row detects a quoted value that never ends: it is part of that value.
    """
    stream.seek(0)
    lines = itertools.chain(table_text(stream), [END_OF_TABLE])
    rows = filter(None, csv.reader(lines, delimiter=delimiter))
    next(rows)  # the header
    for number, fields in enumerate(rows, start=1):
        if fields == [END_OF_TABLE]:
            return
        if len(fields) > len(header):
            raise DamagedFileError(f"row {number} has more fields than the header, {len(header)}")
        yield fields
    raise DamagedFileError("""a '"' begins a quoted value that never ends""")


def table_captions(stream: BinaryIO, column: str, delimiter: str) -> Iterator[pa.Array]:
    header = list(table_columns(stream, delimiter))
    place, rows = header.index(column), table_fields(stream, header, delimiter)
    captions = (fields[place] if place < len(fields) else "" for fields in rows)
    return captions_in(None if caption in MISSING_VALUES else caption for caption in captions)


def table_rows(stream: BinaryIO, columns: Sequence[str], delimiter: str) -> Iterator[dict]:
    header = list(table_columns(stream, delimiter))
    for number, fields in enumerate(table_fields(stream, header, delimiter), start=1):
        row = dict(itertools.zip_longest(header, fields))
        for name in columns:
            if ESCAPED.search(row.get(name) or ""):
                raise DamagedFileError(f"row {number} is not UTF-8: {row[name][:50]!r}")
        yield row


# JSON lines


def json_columns(stream: BinaryIO) -> Columns:
    return kinds_of(itertools.islice(json_rows(stream), FIRST_LINES))


def kinds_of(objects: Iterable[dict]) -> Columns:
    """The keys of objects, each with 'text' if a value is one, and else with the type of its last value that is not null."""
    kinds: dict[str, str | None] = {}  # None: all values are null so far
    for fields in objects:
        for name, value in fields.items():
            kinds.setdefault(name, None)
            if value is not None and kinds[name] != TEXT:
                kinds[name] = TEXT if isinstance(value, str | bytes) else type(value).__name__
    return {name: kind or TEXT for name, kind in kinds.items()}


def json_rows(stream: BinaryIO, columns: Sequence[str] = ()) -> Iterator[dict]:
    for number, line in enumerate(stream, start=1):
        if line.strip():
            yield json_object(line, f"line {number}")


def captions_of(rows: Callable[[BinaryIO], Iterator[dict]], stream: BinaryIO, column: str) -> Iterator[pa.Array]:
    """The captions of objects; one without the column has no caption."""
    return captions_in(row.get(column) for row in rows(stream))


def json_object(text: bytes, subject: str) -> dict:
    try:
        value = json.loads(text.decode("utf-8-sig", "surrogateescape"))
    except (ValueError, RecursionError) as error:  # RecursionError: it is nested too deeply
        raise DamagedFileError(f"{subject} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DamagedFileError(f"{subject} is not a JSON object")
    return value


# Shards


def shard_fields(stream: BinaryIO) -> Iterator[dict]:
    """The fields of each sample: the keys of its .json, and 'caption' from its .txt."""
    with tarfile.open(fileobj=stream, mode="r:") as archive:
        for key, files in samples_in(archive):
            contents = {kind: archive.extractfile(files[kind]).read() for kind in ("json", "txt") if kind in files}
            fields = json_object(contents["json"], f"{key}.json") if "json" in contents else {}
            yield fields | ({"caption": contents["txt"]} if "txt" in contents else {})


def shard_columns(stream: BinaryIO) -> Columns:
    samples = list(itertools.islice(shard_fields(stream), FIRST_LINES))
    if samples and not any(samples):
        raise DamagedFileError("its samples have neither a .txt nor fields in a .json")
    return kinds_of(samples)


# Text


def text_captions(stream: BinaryIO, column: str) -> Iterator[pa.Array]:
    """One caption per line, with its line feed, which counts as a space."""
    while lines := stream.readlines(CHUNK_BYTES):
        yield pa.array(lines, pa.large_binary())


def table(delimiter: str) -> Format:
    def with_delimiter(function: Callable) -> Callable:
        return lambda stream, *arguments: function(stream, *arguments, delimiter=delimiter_in(stream, delimiter))

    return Format(*map(with_delimiter, (table_columns, table_captions, table_rows)))


def delimiter_in(stream: BinaryIO, default: str) -> str:
    """The delimiter of a table: a tab, whatever its name, if its header has tabs and no `default` (open_clip's .csv)."""
    header = stream.readline()
    stream.seek(0)
    return "\t" if b"\t" in header and default.encode() not in header else default


JSON_LINES = Format(json_columns, functools.partial(captions_of, json_rows), json_rows)
FORMATS = {
    ".parquet": Format(parquet_columns, parquet_captions, parquet_rows),
    ".tsv": table("\t"),
    ".csv": table(","),
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".json": JSON_LINES,
    ".tar": Format(shard_columns, functools.partial(captions_of, shard_fields), None),
    ".txt": Format(lambda stream: {}, text_captions, None),
}
