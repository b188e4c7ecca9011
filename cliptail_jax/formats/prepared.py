"""Finds prepared data sets: the folders DATA_DIR/NAME[/CONFIG]/VERSION, and the tables of their texts."""

import os
import re
from pathlib import Path

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import is_remote, read_json, work_path

INFO = "dataset_info.json"
DEFAULT_DATA_DIR = "default: the environment's TFDS_DATA_DIR, else ~/tensorflow_datasets"  # for the help of programs
VERSION = re.compile(r"\d+\.\d+\.\d+")
NAME = re.compile(r"\w+(/[^/]+)?")


def resolve_data_dir(data_dir: str) -> Path:
    """The root folder of prepared data sets; for '', the environment's TFDS_DATA_DIR, else ~/tensorflow_datasets."""
    root = work_path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets")
    return root if is_remote(root) else Path(root).expanduser()  # builders write to local folders


def split_name(name: str) -> tuple[str, str]:
    """Splits 'set', 'set/config', 'set:1.0.0' or 'set/config:1.0.0' into the path below the root and the version or ''."""
    path, _, version = name.partition(":")
    if not NAME.fullmatch(path) or (version and not VERSION.fullmatch(version)):
        raise UserError(f"data set name {name!r} is not of the form 'set', 'set/config' or 'set/config:1.0.0'")
    return path, version


def prepared_versions(folder: Path) -> list[Path]:
    """The version folders in `folder`, oldest first. TFDS names a folder by its version when it is complete."""
    versions = [info.parent for info in folder.glob(f"*/{INFO}") if VERSION.fullmatch(info.parent.name)]
    return sorted(versions, key=lambda version: [int(number) for number in version.name.split(".")])


def find_prepared(name: str, data_dir: str) -> Path | None:
    """The folder of the named or else the latest version of a prepared data set; None if there is none."""
    path, version = split_name(name)
    versions = prepared_versions(resolve_data_dir(data_dir) / path)
    folders = [folder for folder in versions if version in ("", folder.name)]
    return folders[-1] if folders else None


def prepared_names(root: Path) -> list[str]:
    """The names of all data sets that are prepared below a root folder, as `find_prepared` takes them."""
    folders = [folder for depth in ("*", "*/*") for parent in root.glob(depth) for folder in prepared_versions(parent)]
    return sorted(f"{folder.parent.relative_to(root).as_posix()}:{folder.name}" for folder in folders)


def table_path(folder: Path, split: str) -> Path:
    """The table of the numbers and texts of a split's records."""
    return folder / f"metadata-{split}.parquet"


def find_tables(name: str, data_dir: str) -> list[Path]:
    """The tables of a prepared data set, one for each split, or that of one split; [] if no such set is prepared.

    Args:
        name: 'set/config' or 'set/config:1.0.0', each also with a split: 'set/config:train'.

    Raises:
        UserError: The set lacks the split, or its table has not been written yet.
    """
    path, *suffixes = name.split(":")
    version = suffixes.pop(0) if suffixes and VERSION.fullmatch(suffixes[0]) else ""
    if not NAME.fullmatch(path) or len(suffixes) > 1:
        return []
    folder = find_prepared(f"{path}:{version}", data_dir)
    if folder is None:
        return []
    if is_remote(folder):
        raise UserError(
            f"{folder} is in a bucket: copy its metadata-*.parquet here, or count them with cliptail_jax.concepts.beam and "
            f"--captions='{folder}/metadata-*.parquet'"
        )
    splits = [split["name"] for split in (read_json(folder / INFO) or {}).get("splits", [])]
    if missing_splits := [split for split in suffixes if split not in splits]:
        raise UserError(f"data set {path!r} has no split {missing_splits[0]!r}; it has {', '.join(sorted(splits))}")
    for split in suffixes or splits:
        if not table_path(folder, split).exists():
            raise UserError(
                f"{table_path(folder, split)} is not written yet; in Python, cliptail_jax.datasets.source.open_source("
                f"{path!r}, {data_dir!r}, {split!r}).metadata writes it"
            )
    return [table_path(folder, split) for split in suffixes or splits]
