"""Shards of image-text data as img2dataset writes them: archives in WebDataset's format, each with a parquet file."""

import itertools
import json
import pathlib
import re
import tarfile
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow.parquet

from cliptail_jax.datasets.streaming import naming_damage
from cliptail_jax.errors import UserError

MEMBER = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)")  # a sample's key, and the kind of one of its files
IMAGES = ("jpg", "jpeg", "png", "webp")


class Sample(NamedTuple):
    """One image-text pair.

    Attributes:
        image: the encoded image; None where the download failed.
        fields: those of its row in the parquet file and of its .json, which has precedence, with lower-case names; its
            .txt is the 'caption'.
    """

    key: str
    image: bytes | None
    fields: dict


def find_shards(raw: pathlib.Path) -> list[pathlib.Path]:
    """The archives in a folder, sorted by name, or `raw` itself if it is an archive."""
    paths = sorted(raw.glob("*.tar")) if raw.is_dir() else [raw]
    if not paths:
        raise UserError(f"--raw={raw} has no shards (*.tar)")
    return paths


def read_shard(path: pathlib.Path) -> Iterator[Sample]:
    """The samples of an archive in its order, then the failed downloads that only its parquet file lists.

    Raises:
        UserError: A file is damaged.
    """
    downloads = read_downloads(path.with_suffix(".parquet"))
    with naming_damage(path), tarfile.open(path) as archive:
        named = ((MEMBER.fullmatch(member.name), member) for member in archive if member.isfile())
        files = ((match[1], match[2].lower(), member) for match, member in named if match)
        for key, sample_files in itertools.groupby(files, key=lambda file: file[0]):
            contents = {kind: archive.extractfile(member).read() for _, kind, member in sample_files}
            try:
                described = json.loads(contents.get("json", b"{}"))
            except ValueError as error:
                raise UserError(f"{path}: {key}.json is not JSON ({error})") from error
            fields = downloads.pop(key, {}) | lower_case_names(described)
            if "txt" in contents:
                fields["caption"] = contents["txt"].decode(errors="replace")
            image = next((contents[kind] for kind in IMAGES if kind in contents), None)
            yield Sample(key, None if has_failed(fields) else image, fields)
    yield from (Sample(key, None, fields) for key, fields in sorted(downloads.items()) if has_failed(fields))


def read_downloads(path: pathlib.Path) -> dict[str, dict]:
    """The rows of the parquet file of a shard by key, one for each URL; {} where there is no such file."""
    if not path.is_file():
        return {}
    with naming_damage(path):
        rows = pyarrow.parquet.read_table(path).to_pylist()
    return {row["key"]: lower_case_names(row) for row in rows}


def lower_case_names(fields: dict) -> dict:
    return {name.lower(): value for name, value in fields.items()}


def has_failed(fields: dict) -> bool:
    return fields.get("status", "success") != "success"
