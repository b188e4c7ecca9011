"""Counts of the parts of a corpus that are finished, kept in a folder beside the output until all are."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import shutil

import pyarrow as pa
import pyarrow.parquet

from cliptail_jax.concepts.tally import Tally
from cliptail_jax.errors import UserError


class FinishedParts:
    """The tallies of finished parts, each in a file that is there whole or not at all. A context manager.

    A part is known by its path, size and time of change, and by `job`, which says what is counted and how.
    """

    def __init__(self, output: pathlib.Path, job: str, parts: list[str]):
        """
        Raises:
            UserError: nothing can be written beside the output.
        """
        self._folder = output.with_name(f"{output.name}.parts")
        self._unfinished = self._folder / "unfinished"
        self._files = {part: self._folder / f"{fingerprint(job, part)}.parquet" for part in parts}
        try:
            if output.is_dir():
                raise IsADirectoryError(errno.EISDIR, "it is a folder")
            self._folder.mkdir(exist_ok=True)
            self._unfinished.touch()
        except OSError as error:
            raise UserError(f"{output} cannot be written: {error.strerror}") from error

    def __enter__(self) -> "FinishedParts":
        return self

    def __exit__(self, *_) -> None:
        self._unfinished.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()  # unless a part is finished

    def load(self, part: str) -> Tally | None:
        """The tally of a part; None if it has to be counted."""
        try:
            table = pa.parquet.read_table(self._files[part])
        except (OSError, pa.ArrowException):
            return None
        return Tally(table.replace_schema_metadata(), **json.loads(table.schema.metadata[b"tally"]))

    def save(self, part: str, tally: Tally) -> None:
        """
        Raises:
            UserError: it cannot be written.
        """
        numbers = json.dumps({"captions": tally.captions, "undecodable": tally.undecodable})
        try:
            pa.parquet.write_table(tally.counts.replace_schema_metadata({"tally": numbers}), self._unfinished)
            os.replace(self._unfinished, self._files[part])
        except OSError as error:
            raise UserError(f"{self._folder} cannot be written: {error.strerror or error}") from error

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def fingerprint(job: str, part: str) -> str:
    status = os.stat(part)
    identity = job, os.path.abspath(part), status.st_size, status.st_mtime_ns
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:32]
