"""Counts of the finished parts of a corpus, in a folder beside the output until all parts are counted."""

import json
import os
import pathlib
import shutil

import pyarrow as pa
import pyarrow.parquet

from cliptail_jax.concepts.tally import COUNTS, Tally
from cliptail_jax.errors import UserError
from cliptail_jax.files import digest_of, replacing


class FinishedParts:
    """The tallies of finished parts, in one file each. A part with a damaged file counts as unfinished.

    A file is named by the part's path, size and time of change, and by `job`, which describes what is counted and how.
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
        """Removes all tallies."""
        shutil.rmtree(self._folder, ignore_errors=True)


def fingerprint(job: str, part: str) -> str:
    status = os.stat(part)
    identity = job, os.path.abspath(part), status.st_size, status.st_mtime_ns
    return digest_of([repr(identity).encode()])[:32]
