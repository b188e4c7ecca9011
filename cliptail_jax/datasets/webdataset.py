"""Shards of image-text data as img2dataset writes them: archives in WebDataset's format, each with a parquet file."""

import collections
import contextlib
import json
import pathlib
import re
import tarfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pyarrow.parquet
from tqdm import tqdm

from cliptail_jax.datasets.streaming import Skip, StreamingBuilder, naming_damage
from cliptail_jax.formats.shards import samples_in
from cliptail_jax.host.errors import UserError

IMAGES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")
# 00000.tar, or train-00000-of-00012.parquet, perhaps with a digest after it, as Hugging Face names files
NUMBERED = re.compile(r"(.*?)(\d{2,7})(?:-of-(\d{1,7})(?:-\w+)?)?(\.[\w.]+)", re.DOTALL)


class Sample(NamedTuple):
    """One image-text pair.

    Attributes:
        image: the encoded image; None where the download failed.
        fields: the fields of its .json and, with lower precedence, of its row in the parquet file, with lower-case
            names; its .txt is the 'caption', as bytes if it is not UTF-8.
    """

    key: str
    image: bytes | None
    fields: dict


class ShardsBuilder(StreamingBuilder):
    """A builder of shards."""

    def __init__(self, *, skip_damaged: bool = False, **kwargs):
        self.skip_damaged = skip_damaged
        super().__init__(**kwargs)

    def check_complete(self, raw: pathlib.Path, files: Sequence[pathlib.Path]) -> None:
        """Raises UserError if `raw` lacks one of its numbered files; with `skip_damaged`, these are counted."""
        for path in missing_files(files) if raw not in files else ():  # users may choose a file of a series
            if not self.skip_damaged:
                raise UserError(f"{path} is missing among the numbered files: add it, or pass --skip_damaged")
            self.skip("missing shards", f"there is no {path}")

    def samples(self, shards: Sequence[pathlib.Path]) -> Iterator[tuple[pathlib.Path, Sample]]:
        """The samples of all shards, each with its shard's path.

        Raises:
            UserError: A shard is damaged.
        """
        for path in tqdm(shards, desc=self.name, unit=" shards", disable=None):
            try:
                for sample in read_shard(path, self.skip):
                    yield path, sample
            except UserError as error:
                if not self.skip_damaged:
                    raise UserError(f"{error}; download the shard again, or pass --skip_damaged") from error
                self.skip("damaged shards, or the rest of them", error)


def find_shards(raw: pathlib.Path) -> list[pathlib.Path]:
    """The archives in a folder, sorted by name, or `raw` itself if it is an archive."""
    paths = sorted(raw.glob("*.tar")) if raw.is_dir() else [raw]
    if not paths:
        raise UserError(f"--raw={raw} has no shards (*.tar)")
    return paths


def missing_files(files: Sequence[pathlib.Path]) -> list[pathlib.Path]:
    """The files that are missing in a series: any of NAME-00000-of-00003.parquet, or one between others of 00000.tar."""
    series = collections.defaultdict(dict)
    for path in files:
        if match := NUMBERED.fullmatch(path.name):
            prefix, number, total, suffix = match.groups()
            series[path.parent, prefix, total, suffix, len(number)][int(number)] = path
    candidates = []
    for (folder, prefix, total, suffix, digits), paths in series.items():
        if total or min(paths) < 10 ** (digits - 1):  # filled up with zeros, unlike years and dates
            total_part = f"-of-{total}" if total else ""
            numbers = range(int(total)) if total else range(min(paths), max(paths))
            candidates += [folder / f"{prefix}{n:0{digits}}{total_part}{suffix}" for n in numbers if n not in paths]
    return [path for path in candidates if not path.exists()]  # files that exist were not chosen


def read_shard(path: pathlib.Path, skip: Skip) -> Iterator[Sample]:
    """The samples of an archive in its order, then the failed downloads that only its parquet file lists.

    Other samples that only the parquet file lists, and samples whose .json is not an object, are skipped.

    Raises:
        UserError: A file is damaged.
    """
    downloads = read_downloads(path.with_suffix(".parquet"))

    def on_link(name: str) -> None:
        skip("files that are links", f"{path}: {name!r} is a link")

    with naming_damage(path), tarfile.open(path) as archive:
        for key, members in samples_in(archive, on_link):
            contents = {kind: archive.extractfile(member).read() for kind, member in members.items()}
            row, description = downloads.pop(key, {}), read_fields(contents.get("json", b"{}"))
            if description is None:
                skip("whose .json is not an object", f"{path}: {key + '.json'!r} is not a JSON object")
                continue
            fields = row | description
            if contents.get("txt", b"").strip():
                fields["caption"] = contents["txt"]
                with contextlib.suppress(UnicodeDecodeError):  # if they stay bytes, their use is an error
                    fields["caption"] = contents["txt"].decode("utf-8-sig")
            yield Sample(key, next((contents[kind] for kind in IMAGES if kind in contents), None), fields)
    for key, fields in sorted(downloads.items()):
        if has_failed(fields):
            yield Sample(key, None, fields)
        else:
            skip(
                "that a shard lacks and its parquet lists", f"{path} has no {key!r}, which the parquet beside it lists"
            )


def read_fields(text: bytes) -> dict | None:
    """The fields in the .json of a sample, with lower-case names; None if it is not an object."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return lower_case_names(fields) if isinstance(fields, dict) else None


def read_downloads(path: pathlib.Path) -> dict[str, dict]:
    """The rows of a shard's parquet file by key, one for each URL; {} without such a file."""
    if not path.is_file():
        return {}
    with naming_damage(path):
        rows = pyarrow.parquet.read_table(path).to_pylist()
    if not all(isinstance(row.get("key"), str) for row in rows):
        raise UserError(f"{path} has rows without a text as 'key'")
    return {row["key"]: lower_case_names(row) for row in rows}


def lower_case_names(fields: dict) -> dict:
    return {name.lower(): value for name, value in fields.items()}


def has_failed(fields: dict) -> bool:
    return fields.get("status", "success") != "success"
