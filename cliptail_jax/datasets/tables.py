"""Rows of a table on disk, one at a time: parquet, or TSV, CSV (with a header) and JSON lines, each also gzipped."""

import csv
import gzip
import io
import json
import pathlib
from collections.abc import Iterator, Sequence

import pyarrow.parquet

from cliptail_jax.datasets.streaming import naming_damage
from cliptail_jax.errors import UserError

DELIMITERS = {".tsv": "\t", ".csv": ","}
LINES = (".jsonl", ".ndjson")


def read_rows(path: pathlib.Path, columns: Sequence[str]) -> Iterator[dict]:
    """Some columns of each row.

    Raises:
        UserError: the file is of another kind or damaged, or a row lacks a column.
    """
    kind = pathlib.Path(path.stem if path.suffix == ".gz" else path.name).suffix
    if kind == ".parquet":
        rows = parquet_rows(path, columns)
    elif kind in DELIMITERS or kind in LINES:
        rows = text_rows(path, kind)
    else:
        kinds = ", ".join((".parquet", *DELIMITERS, *LINES))
        raise UserError(
            f"{path} is not a table that can be read; its name ends in none of {kinds} (text also with .gz)"
        )
    with naming_damage(path):
        for number, row in enumerate(rows, start=1):
            if lacking := [column for column in columns if column not in row]:
                has = ", ".join(map(str, row)) if isinstance(row, dict) else type(row).__name__
                raise UserError(f"{path}, row {number}, has no {lacking[0]!r}; it has {has}")
            yield {column: row[column] for column in columns}


def parquet_rows(path: pathlib.Path, columns: Sequence[str]) -> Iterator[dict]:
    file = pyarrow.parquet.ParquetFile(path)
    present = [column for column in columns if column in file.schema_arrow.names]
    for batch in file.iter_batches(columns=present):
        yield from batch.to_pylist()


def text_rows(path: pathlib.Path, kind: str) -> Iterator[dict]:
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
        try:
            if kind in LINES:
                yield from (json.loads(line) for line in text if line.strip())
            else:
                yield from csv.DictReader(text, delimiter=DELIMITERS[kind])
        except (csv.Error, ValueError, gzip.BadGzipFile) as error:
            raise UserError(f"{path} is damaged: {error}") from error
