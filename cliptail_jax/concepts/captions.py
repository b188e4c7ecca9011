"""Files of captions: finding them, choosing the column, and reading it in batches of bounded size."""

import argparse
import codecs
import contextlib
import glob
import gzip
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

import pyarrow as pa

from cliptail_jax.concepts.class_lists import LEMMAS, LONGEST, PHRASES
from cliptail_jax.formats.batches import batches_of
from cliptail_jax.formats.prepared import DEFAULT_DATA_DIR, find_tables, resolve_data_dir
from cliptail_jax.formats.readers import DAMAGE, FORMATS, Columns, DamagedFileError
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import check_file

USUAL_COLUMNS = "TEXT", "caption", "text"  # LAION's name first
KNOWN_SUFFIXES = f"{', '.join(FORMATS)}, each also with .gz"

GZIP_MAGIC = b"\x1f\x8b"

Open = Callable[[str], BinaryIO]


def open_local(path: str) -> BinaryIO:
    """Opens a local file. Raises OSError, and UserError as `check_file`."""
    check_file(pathlib.Path(path))
    return open(path, "rb")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of a program that counts captions."""
    columns = f"{', '.join(USUAL_COLUMNS)}, else the only column of text"
    captions = "a file, a glob (quoted), a folder, or a prepared data set: image_text/mine, or image_text/mine:train"
    parser.add_argument("--captions", required=True, help=captions)
    parser.add_argument("--data_dir", default="", help=f"the folder of prepared data sets; {DEFAULT_DATA_DIR}")
    parser.add_argument("--column", help=f"the column of captions; default: {columns}")
    rule = (
        "how captions name classes: by lemmas (the paper's rule), exact phrases, or the longest (default: %(default)s)"
    )
    parser.add_argument("--rule", choices=(LEMMAS, PHRASES, LONGEST), default=LEMMAS, help=rule)
    parser.add_argument("--output", required=True, help="the .tsv file to write")


def find_parts(pattern: str, data_dir: str = "") -> list[str]:
    """Finds the captions files of a path, a glob or a folder, sorted by name, or the tables of a prepared data set.

    In a folder with shards, only these count: the tables beside them describe the same captions.

    Raises:
        UserError: There is none, or one is of an unknown format; or the data set lacks the split.
    """
    if os.path.isdir(pattern):
        paths = [path for path in glob.glob(os.path.join(glob.escape(pattern), "*")) if suffix(path) in FORMATS]
        paths = [path for path in paths if suffix(path) == ".tar"] or paths
    else:
        paths = [pattern] if os.path.exists(pattern) else glob.glob(pattern, recursive=True)
    paths = sorted(filter(os.path.isfile, paths)) or [str(path) for path in find_tables(pattern, data_dir)]
    if not paths:
        raise UserError(
            f"no captions file matches {pattern}: there must be files ending in {KNOWN_SUFFIXES}, or a data set of this "
            f"name that is prepared below {resolve_data_dir(data_dir)}"
        )
    for path in paths:
        check_format(path)
    return paths


def check_format(path: str) -> None:
    """Raises UserError if a file name has no known suffix."""
    if suffix(path) not in FORMATS:
        raise UserError(f"{path} is not a captions file by its name: captions files end in {KNOWN_SUFFIXES}")


def suffix(path: str) -> str:
    """A file's suffix in lower case, without .gz."""
    return pathlib.PurePath(path.lower().removesuffix(".gz")).suffix


def check_part(path: str, column: str | None, open_file: Open = open_local) -> tuple[str, Columns]:
    """The column of a file's captions, as in `read_part`, and all its columns. Raises UserError as `read_part`."""
    with opened(path, open_file) as stream:
        columns = FORMATS[suffix(path)].columns(stream)
    return caption_column(path, columns, column), columns


def read_part(path: str, column: str | None = None, open_file: Open = open_local) -> Iterator[pa.LargeBinaryArray]:
    """Reads the captions of a file in batches, in UTF-8.

    Args:
        column: the column of captions; by default the first of `USUAL_COLUMNS`, else the only text column.

    Raises:
        UserError: There is no such column, or it is not text.
        DamagedFileError: The file cannot be read to its end.
    """
    with opened(path, open_file) as stream:
        column = caption_column(path, FORMATS[suffix(path)].columns(stream), column)
        stream.seek(0)
        for captions in FORMATS[suffix(path)].captions(stream, column):
            yield from batches_of(captions)


def columns_of(path: str) -> Columns:
    """The columns of a table. Raises UserError and DamagedFileError as `read_rows`."""
    check_format(path)
    if FORMATS[suffix(path)].rows is None:
        raise UserError(f"{path} is not a table with columns: use a file such as .tsv, .csv, .jsonl or .parquet")
    with opened(path, open_local) as stream:
        return FORMATS[suffix(path)].columns(stream)


def check_columns(path: str, columns: Sequence[str]) -> None:
    """Raises UserError if a nonempty table lacks one of the columns."""
    known_columns = columns_of(path)
    if known_columns and (missing_columns := [column for column in columns if column not in known_columns]):
        raise UserError(f"{path} has no column {missing_columns[0]!r}; it has {', '.join(known_columns)}")


def read_rows(path: str, columns: Sequence[str]) -> Iterator[dict]:
    """Reads some columns of a table, row by row.

    Raises:
        UserError: The file's format is unknown or has no columns, or the table or a row lacks one of them.
        DamagedFileError: The file cannot be read to its end.
    """
    check_columns(path, columns)
    with opened(path, open_local) as stream:
        for number, row in enumerate(FORMATS[suffix(path)].rows(stream, columns), start=1):
            if missing_columns := [column for column in columns if column not in row]:
                raise UserError(f"{path}, row {number}, has no {missing_columns[0]!r}; it has {', '.join(row)}")
            yield {column: row[column] for column in columns}


@contextlib.contextmanager
def opened(path: str, open_file: Open) -> Iterator[BinaryIO]:
    """Yields a file's content, decompressed if it is gzipped.

    Raises:
        DamagedFileError: Reading has failed; the message begins with the file's name.
    """
    try:
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(open_file(path))
            if path.lower().endswith(".gz"):
                stream = stack.enter_context(gzip.GzipFile(fileobj=stream))
            magic = stream.read(2)
            if magic in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                raise DamagedFileError("it is UTF-16: convert it to UTF-8")
            if magic == GZIP_MAGIC:
                raise DamagedFileError("it is gzipped: rename it so that its name ends in .gz")
            stream.seek(0)
            yield stream
    except (*DAMAGE, DamagedFileError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DamagedFileError(f"{path}: {' '.join(reason.split())[:200]}") from error


def caption_column(path: str, columns: Columns, column: str | None) -> str:
    """The column of a file's captions; '' for a file without columns."""
    if not columns:
        return ""
    columns_note = f"it has {', '.join(columns)}"
    if column is None:
        texts = [name for name, kind in columns.items() if kind == "text" and name != "filename"]
        candidates = [name for name in USUAL_COLUMNS if name in texts][:1] or texts
        if len(candidates) != 1:
            raise UserError(f"which column of {path} has the captions? {columns_note}: name it with --column")
        return candidates[0]
    if column not in columns:
        raise UserError(f"{path} has no column {column!r}; {columns_note}")
    if columns[column] != "text":
        raise UserError(f"column {column!r} of {path} is {columns[column]}, not text")
    return column
