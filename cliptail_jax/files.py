"""Files that are whole or not there, in folders and, as gs://BUCKET/..., in Google Cloud Storage."""

import importlib.util
import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fsspec.config
import numpy as np
from etils import epath
from jaxtyping import Shaped

from cliptail_jax.errors import UserError

SCHEMES = ("gs",)


def work_path(name: str) -> epath.Path:
    """The folder or gs:// address that a user has named.

    Raises:
        UserError: it is an address of another kind, or the package that reads gs:// is not installed.
    """
    scheme, separator, _ = name.partition("://")
    if separator and scheme not in SCHEMES:
        raise UserError(f"'{name}' is neither a folder nor an address of the form gs://BUCKET/NAME")
    if separator and not importlib.util.find_spec("gcsfs"):
        raise UserError(f"'{name}' needs the extra gcs: pip install -e '.[gcs]'")
    # What a listing has shown would be remembered, and Orbax's threads and other hosts write there, too.
    fsspec.config.conf.setdefault("gcs", {})["use_listings_cache"] = False
    return epath.Path(name)


def is_remote(path: Path | str) -> bool:
    return "://" in str(path)


def absolute(path: Path) -> epath.Path:
    """epath's own `absolute` would put the current folder before an address."""
    return epath.Path(path) if is_remote(path) else epath.Path(path).absolute()


def write_bytes(path: Path, content: bytes) -> None:
    """A reader sees the old file or the new one: a file is written by rename, and an object is only there when complete."""
    if is_remote(path):
        path.write_bytes(content)
    else:
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(content)
        os.replace(partial, path)


def write_text(path: Path, text: str) -> None:
    """As `write_bytes`, in UTF-8."""
    write_bytes(path, text.encode())


def append_text(path: Path, text: str) -> None:
    """An object cannot grow: it is written anew, which suits logs of a few megabytes."""
    if is_remote(path):
        path.write_text((path.read_text() if path.exists() else "") + text)
    else:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)


def save_array(path: Path, array: Shaped[np.ndarray, "..."]) -> None:
    """An .npy."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_bytes(path, buffer.getvalue())


def save_arrays(path: Path, **arrays: Shaped[np.ndarray, "..."]) -> None:
    """An .npz."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def load_array(path: Path) -> Shaped[np.ndarray, "..."]:
    """The array of an .npy."""
    return np.load(io.BytesIO(path.read_bytes()))


def load_arrays(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """All arrays of an .npz."""
    with np.load(io.BytesIO(path.read_bytes())) as arrays:
        return dict(arrays)


def files_below(folder: Path) -> Iterator[Path]:
    """The files in a folder and the folders below."""
    for path in folder.iterdir():
        if path == folder:  # the object that stands for a folder lists itself
            continue
        if path.is_dir():
            yield from files_below(path)
        else:
            yield path


def file_size(path: Path | str) -> int:
    """In bytes."""
    return epath.Path(path).stat().length if is_remote(path) else os.path.getsize(path)


def readable(path: Path) -> Path | io.IOBase:
    """What libraries that open local files by name, such as pyarrow, read instead of an object's address."""
    return path.open("rb") if is_remote(path) else path


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(finite(value), indent=1) + "\n")


def finite(value: Any) -> Any:
    """The value with None for nan and infinities, which JSON has no words for."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    drop_cut_off_line(path)
    append_text(path, json.dumps(finite(record)) + "\n")


def drop_cut_off_line(path: Path) -> None:
    """What a kill may have left of a last line, which `read_lines` leaves out, would spoil the next one."""
    if is_remote(path) or not path.exists():  # an object is written whole
        return
    with open(path, "rb+") as file:
        if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a .jsonl file; none if there is no such file. A last line that was cut off is left out."""
    if path.exists():
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)
