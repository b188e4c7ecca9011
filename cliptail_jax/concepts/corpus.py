"""Counts all files of a corpus, each once, even if counting is interrupted and started again."""

import contextlib
import functools
import json
import os
import pathlib
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet
from tqdm import tqdm

from cliptail_jax.concepts.captions import Open, check_part, open_local, read_part
from cliptail_jax.concepts.tally import COUNTS, Counter, Tally, total
from cliptail_jax.concepts.workers import completed
from cliptail_jax.formats.readers import DamagedFileError
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of, replacing

BYTES_PER_PROCESS = 1 << 24  # starting a process takes longer than counting less than this


class FinishedParts:
    """The tallies of finished parts, in one file each, in a folder beside the output until all parts are counted.

    A part with a damaged file counts as unfinished. A file is named by the part's path, size and time of change, and by
    `job`, which describes what is counted and how.
    """

    def __init__(self, output: pathlib.Path, job: str, parts: list[str]):
        self._folder = output.with_name(f"{output.name}.parts")
        self._files = {part: self._folder / f"{fingerprint(job, part)}.parquet" for part in parts}

    def load(self, part: str) -> Tally | None:
        """The tally of a part; None if it is not finished."""
        try:
            table = pa.parquet.read_table(self._files[part], page_checksum_verification=True)
            numbers = json.loads(table.schema.metadata[b"tally"])
            return Tally(table.replace_schema_metadata().cast(COUNTS), **numbers)
        except (OSError, KeyError, ValueError, TypeError, MemoryError, pa.ArrowException):  # missing or damaged
            return None

    def save(self, part: str, tally: Tally) -> None:
        """Saves the tally of a part. Raises UserError if it cannot be written."""
        numbers = json.dumps({key: value for key, value in vars(tally).items() if key != "counts"})
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(self._files[part]) as partial:
                table = tally.counts.replace_schema_metadata({"tally": numbers})
                pa.parquet.write_table(table, partial, write_page_checksum=True)
        except OSError as error:
            raise UserError(f"{self._folder} cannot be written: {error.strerror or error}") from error

    def remove(self) -> None:
        """Removes the tallies of these parts, and the folder if nothing else is in it."""
        for file in self._files.values():
            file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()


def fingerprint(job: str, part: str) -> str:
    status = os.stat(part)
    identity = job, os.path.abspath(part), status.st_size, status.st_mtime_ns
    return digest_of([repr(identity).encode()])[:32]


def count_corpus(
    counter: Counter,
    parts: Sequence[str],
    finished_parts: FinishedParts,
    column: str | None = None,
    processes: int = 1,
) -> tuple[Tally, list[DamagedFileError]]:
    """Counts the unfinished parts, one per process at a time, and adds up all parts.

    Args:
        column: as in `read_part`.
        processes: the maximum number of counting processes; a small corpus uses fewer.

    Returns:
        The tally of all parts that could be read, and the errors of the others.

    Raises:
        UserError: A part lacks the column, parts have the captions in different ones, or a process was killed.
    """
    errors = {}

    def tallies() -> Iterator[Tally]:
        unfinished_parts = []
        for part in parts:
            if (tally := finished_parts.load(part)) is None:
                unfinished_parts.append(part)
            else:
                yield tally
        check_parts(unfinished_parts, column)
        all_bytes, captions = sum(map(os.path.getsize, unfinished_parts)), 0
        workers = max(min(processes, len(unfinished_parts), 1 + all_bytes // BYTES_PER_PROCESS), 1)
        work = functools.partial(try_to_count, counter=counter, column=column)
        progress = tqdm(total=all_bytes, unit="B", unit_scale=True, disable=None)
        with contextlib.closing(completed(work, unfinished_parts, workers)) as results, progress:
            for part, tally in results:
                progress.update(os.path.getsize(part))
                if isinstance(tally, DamagedFileError):
                    errors[part] = tally
                    continue
                finished_parts.save(part, tally)
                captions += tally.captions
                progress.set_postfix_str(f"{captions:,} captions")
                yield tally

    return total(tallies()), [errors[part] for part in parts if part in errors]


def check_parts(parts: Sequence[str], column: str | None) -> None:
    """Checks parts without reading all of them. Damaged ones are reported when they are read.

    Raises UserError as `read_part` does, or if parts have their captions in two columns that one part has.
    """
    columns, examples = {}, {}
    for part in parts:
        with contextlib.suppress(DamagedFileError):
            name, columns[part] = check_part(part, column)
            examples.setdefault(name, part)
    for part, part_columns in columns.items():
        if len(conflict := [name for name in examples if name in part_columns]) > 1:
            raise UserError(
                f"{part} has the columns {conflict[0]} and {conflict[1]}, which are the captions of {examples[conflict[0]]} and "
                f"{examples[conflict[1]]}: name the column with --column"
            )


def try_to_count(part: str, counter: Counter, column: str | None) -> Tally | DamagedFileError:
    """Counts a part; returns the error if the part cannot be read to its end."""
    try:
        return count_part(part, counter, column)
    except DamagedFileError as error:
        return error


def count_part(part: str, counter: Counter, column: str | None = None, open_file: Open = open_local) -> Tally:
    """Counts a part. Raises UserError and DamagedFileError as `read_part` does."""
    return total(map(counter.tally, read_part(part, column, open_file)))
