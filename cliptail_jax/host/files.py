"""Atomic file writes, digests and locks; paths are local or on Google Cloud Storage (gs://BUCKET/...)."""

import contextlib
import dataclasses
import fcntl
import hashlib
import importlib.util
import io
import json
import logging
import math
import os
import platform
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import fsspec.config
import msgspec
import numpy as np
from etils import epath

from cliptail_jax.host.errors import UserError

SCHEMES = ("gs",)


def user_cache(name: str) -> Path:
    """A folder of the user's cache, which may not exist."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cliptail_jax" / name


def work_path(name: str) -> epath.Path:
    """The path of a local folder or file, where ~ is the home folder, or of a gs:// address.

    Raises:
        UserError: It is empty, the address has another scheme, or the package that reads gs:// is not installed.
    """
    if not name:
        raise UserError("the name of a folder or a file is empty: give one ('.' is the current folder)")
    scheme, separator, _ = name.partition("://")
    if separator and scheme not in SCHEMES:
        raise UserError(f"'{name}' is neither a folder nor an address of the form gs://BUCKET/NAME")
    if separator and not importlib.util.find_spec("gcsfs"):
        raise UserError(f"'{name}' needs the extra gcs: pip install -e '.[gcs]'")
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # it logs the traceback of an error that it raises, too
    # A cached listing would miss what Orbax's threads and other hosts have written since.
    fsspec.config.conf.setdefault("gcs", {})["use_listings_cache"] = False
    return epath.Path(name) if separator else epath.Path(name).expanduser()


def is_remote(path: Path | str) -> bool:
    """Whether `path` is an address and not in the local file system."""
    return "://" in str(path)


def absolute(path: Path) -> epath.Path:
    """The absolute path. An address stays as it is; epath's `absolute` would prepend the current folder."""
    return epath.Path(path) if is_remote(path) else epath.Path(path).absolute()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside the local `path`, and renames it to `path` if the block ends without an error.

    A reader sees the old file or the complete new one, and an error leaves no trace.
    """
    # pyarrow takes a path that is not absolute and has a colon for an address.
    partial = path.absolute().with_name(f"{path.name}.{os.getpid()}-{platform.node()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file atomically: a reader sees the old content or the new one."""
    with _naming(path):
        if is_remote(path):  # an object becomes visible when it is complete
            path.write_bytes(content)
        else:
            with replacing(path) as partial:
                partial.write_bytes(content)


def check_file(path: Path, name: str = "") -> None:
    """Raises UserError if a path is a folder, a pipe or a device: reading a pipe may wait for ever.

    The message begins with `name`, such as '--frequency=counts.tsv', or the path. A missing file passes.
    """
    is_file = path.is_file() if is_remote(path) else os.path.isfile(path)  # a path of etils takes a pipe for a file
    if path.exists() and not is_file:
        raise UserError(f"{name or path} is a folder or a pipe: give a file")


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, without a byte order mark, with line ends of any system; paths of etils keep the mark.

    Raises OSError, UnicodeDecodeError, and UserError as `check_file`.
    """
    check_file(path)
    return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, in UTF-8."""
    write_bytes(path, text.encode())


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Adds the file's name to errors that lack it, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def save_array(path: Path, array: np.ndarray) -> None:
    """Writes an .npy file atomically."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_bytes(path, buffer.getvalue())


def save_arrays(path: Path, **arrays: np.ndarray | np.generic) -> None:
    """Writes an .npz file atomically."""
    write_bytes(path, npz(arrays))


def npz(arrays: Mapping[str, np.ndarray | np.generic]) -> bytes:
    """The content of an .npz file, which depends on the arrays alone."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def load_array(path: Path) -> np.ndarray:
    """Reads an .npy file. Raises OSError, ValueError, EOFError or BadZipFile if it is missing or damaged."""
    try:
        return np.load(io.BytesIO(path.read_bytes()))
    except tokenize.TokenError as error:  # of some headers, since Python 3.12
        raise ValueError(str(error)) from None


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an .npz file, which has checksums. Raises UserError if it is missing or damaged."""
    try:
        with np.load(io.BytesIO(path.read_bytes())) as arrays:
            return dict(arrays)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run the program again that writes it") from None
    except (ValueError, OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}): delete it, and run the program again that writes it") from None


def files_below(folder: Path) -> Iterator[Path]:
    """All files in a folder and its subfolders."""
    for path in folder.iterdir():
        if path == folder:  # the object that represents a folder lists itself
            continue
        if path.is_dir():
            yield from files_below(path)
        else:
            yield path


def file_size(path: Path | str) -> int:
    """The size of a file in bytes."""
    if is_remote(path):
        return epath.Path(path).stat().length
    return os.stat(path).st_size  # epath's `stat` asks for the owner's name, which a container may not have


def readable(path: Path) -> Path | io.IOBase:
    """The argument for a library that only opens local files, such as pyarrow: the path, or an object's open file."""
    return path.open("rb") if is_remote(path) else path


def digest_of(parts: Iterable[bytes]) -> str:
    """The SHA-256 of the concatenated parts, in hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def digest_of_file(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_json(value: Any, sort_keys: bool = False) -> str:
    """The SHA-256 of a value's JSON text, in hexadecimal; it depends on the order of dictionaries unless `sort_keys`."""
    return digest_of([json.dumps(value, sort_keys=sort_keys).encode()])


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Creates and locks a local file; other processes wait. The lock ends with the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON document atomically, with null for nan and infinities."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """The text of a JSON document, with null for nan and infinities."""
    return json.dumps(finite(value), indent=1) + "\n"


def finite(value: Any) -> Any:
    """The value with None for nan and infinities, which JSON cannot represent."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def read_json(path: Path, kind: Any = dict[str, Any]) -> Any:
    """The JSON document in a file; None if there is no file. Raises UserError as `decode`."""
    return decode(path.read_bytes(), kind, path) if path.exists() else None


def decode(text: bytes | str, kind: Any, origin: Path | str) -> Any:
    """Decodes a JSON text with the types of `kind`, such as dict[str, int] or a dataclass (returns an instance).

    Objects may have more keys than the `TypedDict` or dataclass. Raises UserError that names `origin` and the field.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise _damaged(origin, error) from None
    return with_types(value, kind, origin)


def with_types(value: Any, kind: Any, origin: Path | str) -> Any:
    """A decoded JSON value with the types of `kind`. Raises UserError as `decode`."""
    try:
        instance = msgspec.convert(value, kind)
    except (ValueError, RecursionError) as error:
        raise _damaged(origin, error) from None
    return instance if dataclasses.is_dataclass(kind) else value


def _damaged(origin: Path | str, error: Exception) -> UserError:
    return UserError(f"{origin} is damaged ({error}): restore it from a copy")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not valid JSON")


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Appends a record to a JSON-lines file, which is created with its folder if needed."""
    remove_incomplete_line(path)
    append_bytes(path, line_of(record).encode())


def append_bytes(path: Path, content: bytes) -> None:
    """Appends to a file, which is created with its folder if needed. An object is rewritten."""
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_remote(path):
            path.write_bytes((path.read_bytes() if path.exists() else b"") + content)
        else:
            with path.open("ab") as file:
                file.write(content)


def line_of(record: Mapping[str, Any]) -> str:
    """A record as a line of JSON."""
    return json.dumps(finite(record)) + "\n"


def remove_incomplete_line(path: Path) -> None:
    """Removes an incomplete last line, which a killed process may leave."""
    if is_remote(path) or not path.exists():  # objects are written as a whole
        return
    with open(path, "rb+") as file:
        if file.seek(0, os.SEEK_END) and file.seek(-1, os.SEEK_END) >= 0 and file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def read_lines(path: Path, kind: Any = dict[str, Any]) -> list[dict[str, Any]]:
    """The records of a JSON-lines file without an incomplete last line; none if the file does not exist.

    Raises UserError at a line that is not of the `kind`.
    """
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else ()
    return [decode(line, kind, f"line {number} of {path}") for number, line in enumerate(lines, 1)]


DIGESTS = "sha256.json"


def write_digests(folder: Path, names: Iterable[str], further_texts: Mapping[str, str] | None = None) -> None:
    """Writes the SHA-256 of a folder's files with these names, if they exist, to its sha256.json.

    `further_texts` are texts, by name, of files that are written afterwards.
    """
    paths = [folder / name for name in names if (folder / name).exists()]
    digests = {path.name: digest_of_file(path) for path in paths}
    write_json(folder / DIGESTS, digests | {n: digest_of([t.encode()]) for n, t in (further_texts or {}).items()})


def check_digests(folder: Path) -> None:
    """Raises UserError if a file in the folder's sha256.json is missing or has another digest; without one, all pass."""
    for name, digest in (read_json(folder / DIGESTS) or {}).items():
        path = folder / name
        if not path.exists() or digest_of_file(path) != digest:
            raise UserError(
                f"{path} is {'damaged or was changed by hand' if path.exists() else 'missing'}: restore it from a copy, "
                f"or, if you changed it, remove its entry from {DIGESTS} beside it"
            )
