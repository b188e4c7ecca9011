"""Files of captions: which there are, which column holds the captions, and the captions in batches of bounded size."""

import contextlib
import csv
import functools
import glob
import gzip
import os
import pathlib
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

import pyarrow as pa

from cliptail_jax.concepts import readers
from cliptail_jax.concepts.batches import Batch, batches_of
from cliptail_jax.concepts.readers import DamagedError
from cliptail_jax.errors import UserError

USUAL_COLUMNS = "TEXT", "caption", "text"  # LAION's name first
READ_ERRORS = DamagedError, OSError, EOFError, zlib.error, pa.ArrowException, csv.Error

Open = Callable[[str], BinaryIO]
open_local: Open = functools.partial(open, mode="rb")


class Kind(NamedTuple):
    columns: Callable[[BinaryIO], readers.Columns]
    read: Callable[[BinaryIO, str], Iterator[pa.Array]]


def table(delimiter: str) -> Kind:
    return Kind(
        functools.partial(readers.table_columns, delimiter=delimiter),
        functools.partial(readers.read_table, delimiter=delimiter),
    )


JSON_LINES = Kind(readers.json_columns, readers.read_json_lines)
KINDS = {
    ".parquet": Kind(readers.parquet_columns, readers.read_parquet),
    ".tsv": table("\t"),
    ".csv": table(","),
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".json": JSON_LINES,
    ".txt": Kind(lambda stream: {}, lambda stream, column: readers.read_text(stream)),
}


def find_parts(pattern: str) -> list[str]:
    """The captions files that a path, a glob, or a folder stands for, in order of their names.

    Raises:
        UserError: there is none, or one is of no known kind.
    """
    if os.path.isdir(pattern):
        paths = (os.path.join(pattern, name) for name in os.listdir(pattern) if not name.startswith("."))
        paths = [path for path in paths if suffix(path) in KINDS and os.path.isfile(path)]
    elif os.path.exists(pattern):
        paths = [pattern]
    else:
        paths = [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
    if not paths:
        raise UserError(f"no captions file matches {pattern}: there must be files ending in {known_suffixes()}")
    for path in paths:
        check_kind(path)
    return sorted(paths)


def check_kind(path: str) -> None:
    if suffix(path) not in KINDS:
        raise UserError(f"{path} is no captions file by its name: captions files end in {known_suffixes()}")


def known_suffixes() -> str:
    return f"{', '.join(KINDS)}, each also with .gz"


def suffix(path: str) -> str:
    """A file's suffix in lower case, without .gz."""
    return pathlib.PurePath(path.lower().removesuffix(".gz")).suffix


def check_part(path: str, column: str | None, open_file: Open = open_local) -> None:
    """Looks into a file without reading it all.

    Raises:
        UserError, DamagedError: as in `read_part`.
    """
    with opened(path, open_file) as (stream, _):
        caption_column(path, KINDS[suffix(path)].columns(stream), column)


def read_part(
    path: str, column: str | None = None, card: bool = False, open_file: Open = open_local
) -> Iterator[tuple[Batch, int]]:
    """The captions of a file in batches, and how many of its bytes were read until then.

    Args:
        column: which column holds the captions; by default the first of `USUAL_COLUMNS`, else the only one of text.
        card: the file is a data card of MetaCLIP, a JSON object from text to count.

    Raises:
        UserError: there is no such column, or it isn't text.
        DamagedError: the file cannot be read to its end; the message names it.
    """
    kind = KINDS[suffix(path)]
    with opened(path, open_file) as (stream, file):
        if card:
            yield from ((batch, file.tell()) for batch in batches_of(*readers.read_card(stream)))
            return
        column = caption_column(path, kind.columns(stream), column)
        stream.seek(0)
        for captions in kind.read(stream, column):
            yield from ((batch, file.tell()) for batch in batches_of(captions))


@contextlib.contextmanager
def opened(path: str, open_file: Open) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """A file's content, unpacked if need be, and the file itself. What goes wrong with it is a `DamagedError`."""
    try:
        with contextlib.ExitStack() as stack:
            file = stream = stack.enter_context(open_file(path))
            if path.lower().endswith(".gz"):
                stream = stack.enter_context(gzip.GzipFile(fileobj=file))
            if stream is not file and suffix(path) == ".parquet":  # which is read from its end
                packed, stream = stream, stack.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(packed, stream)
                stream.seek(0)
            yield stream, file
    except READ_ERRORS as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DamagedError(f"{path}: {' '.join(reason.split())[:200]}") from error


def caption_column(path: str, columns: readers.Columns, asked: str | None) -> str:
    """Which of a file's columns holds the captions; '' for a file that has none."""
    if not columns:
        return ""
    has = f"it has {', '.join(columns)}"
    if asked is None:
        texts = [name for name, kind in columns.items() if kind == "text"]
        likely = [name for name in USUAL_COLUMNS if name in texts][:1] or texts
        if len(likely) != 1:
            raise UserError(f"which column of {path} holds the captions? {has}: name it with --column")
        return likely[0]
    if asked not in columns:
        raise UserError(f"{path} has no column {asked!r}; {has}")
    if columns[asked] != "text":
        raise UserError(f"column {asked!r} of {path} is {columns[asked]}, not text")
    return asked
