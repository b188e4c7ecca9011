"""Shards of image-text data as img2dataset writes them: archives in WebDataset's format, each with a parquet file."""

import dataclasses
import functools
import itertools
import json
import pathlib
import re
import tarfile
from collections.abc import Iterator

import pyarrow.parquet

from cliptail_jax.datasets.streaming import naming_damage
from cliptail_jax.errors import UserError

MEMBER = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)")  # a sample's key, and the kind of one of its files
IMAGES = ("jpg", "jpeg", "png", "webp")


@dataclasses.dataclass(frozen=True)
class Sample:
    """The files with one key.

    Attributes:
        image: the encoded image, if there is one.
        fields: those of its .json, with lower-case names, and its .txt as 'caption'.
    """

    key: str
    image: bytes | None
    fields: dict


@dataclasses.dataclass(frozen=True)
class Shard:
    """An archive of samples, with the table of downloads beside it."""

    path: pathlib.Path

    def __iter__(self) -> Iterator[Sample]:
        """Reads the samples in the archive's order. Raises UserError where the archive is damaged."""
        with naming_damage(self.path), tarfile.open(self.path) as archive:
            named = ((MEMBER.fullmatch(member.name), member) for member in archive if member.isfile())
            files = ((match[1], match[2].lower(), member) for match, member in named if match)
            for key, of_key in itertools.groupby(files, key=lambda file: file[0]):
                yield self._sample(key, {kind: archive.extractfile(member).read() for _, kind, member in of_key})

    def _sample(self, key: str, contents: dict[str, bytes]) -> Sample:
        image = next((contents[kind] for kind in IMAGES if kind in contents), None)
        try:
            fields = json.loads(contents.get("json", b"{}"))
        except ValueError as error:
            raise UserError(f"{self.path}: {key}.json is not JSON ({error})") from error
        fields = {name.lower(): value for name, value in fields.items()}
        if "txt" in contents:
            fields["caption"] = contents["txt"].decode(errors="replace")
        return Sample(key, image, fields)

    @functools.cached_property
    def downloads(self) -> dict[str, dict]:
        """The rows of the parquet file of the same name, by key; {} where there is no such file.

        img2dataset writes a row for each URL, including failed downloads, which have another 'status'.
        """
        path = self.path.with_suffix(".parquet")
        if not path.is_file():
            return {}
        with naming_damage(path):
            rows = pyarrow.parquet.read_table(path).to_pylist()
        return {row["key"]: {name.lower(): value for name, value in row.items()} for row in rows}


def find_shards(raw: pathlib.Path) -> list[pathlib.Path]:
    """The archives in a folder, sorted by name, or `raw` itself if it is an archive."""
    paths = sorted(raw.glob("*.tar")) if raw.is_dir() else [raw]
    if not paths:
        raise UserError(f"--raw={raw} has no shards (*.tar)")
    return paths


def has_failed(fields: dict) -> bool:
    """Whether the download failed, by the fields of a sample or of a row of `downloads`."""
    return fields.get("status", "success") != "success"
