"""Counts of the finished parts of a corpus, kept in a folder beside the output until all parts are counted."""

import json
import os
import pathlib
import shutil

import pyarrow as pa
import pyarrow.parquet

from cliptail_jax.concepts.tally import Tally
from cliptail_jax.errors import UserError
from cliptail_jax.files import digest_of, digest_of_json, replacing


class FinishedParts:
    """The tallies of finished parts, in one file each. A part whose file is damaged counts as not finished.

    A part is identified by its path, size and time of change, and by `job`, which says what is counted and how.
    """

    def __init__(self, output: pathlib.Path, job: str, parts: list[str]):
        self._folder = output.with_name(f"{output.name}.parts")
        self._files = {part: self._folder / f"{fingerprint(job, part)}.parquet" for part in parts}

    def load(self, part: str) -> Tally | None:
        """The tally of a part; None if it is not finished."""
        path = self._files[part]
        try:
            table = pa.parquet.read_table(path)
            numbers, digest = (table.schema.metadata[key].decode() for key in (b"tally", b"digest"))
            counts = table.replace_schema_metadata()
            if digest != digest_of_tally(path, counts, numbers):
                return None
        except (
            OSError,
            KeyError,
            ValueError,
            TypeError,
            MemoryError,
            pa.ArrowException,
        ):  # damaged, or of an earlier version
            return None
        return Tally(counts, **json.loads(numbers))

    def save(self, part: str, tally: Tally) -> None:
        """Saves the tally of a part. Raises UserError where it cannot be written."""
        numbers = json.dumps({"captions": tally.captions, "undecodable": tally.undecodable})
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            digest = digest_of_tally(self._files[part], tally.counts, numbers)
            with replacing(self._files[part]) as partial:
                described = tally.counts.replace_schema_metadata({"tally": numbers, "digest": digest})
                pa.parquet.write_table(described, partial)
        except OSError as error:
            raise UserError(f"{self._folder} cannot be written: {error.strerror or error}") from error

    def remove(self) -> None:
        """Removes all tallies."""
        shutil.rmtree(self._folder, ignore_errors=True)


def digest_of_tally(path: pathlib.Path, counts: pa.Table, numbers: str) -> str:
    """The SHA-256 of what is in a file, and of its name, which says of which part it is."""
    return digest_of_json([path.name, numbers, counts.to_pydict()])


def fingerprint(job: str, part: str) -> str:
    status = os.stat(part)
    identity = job, os.path.abspath(part), status.st_size, status.st_mtime_ns
    return digest_of([repr(identity).encode()])[:32]
