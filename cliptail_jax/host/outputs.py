"""Checks the places that a program writes to before it works: a program replaces only its own files."""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import is_remote, work_path

OVERWRITE = "replace files that this program did not write"


def check_output(
    path: Path, is_own: Callable[[Path], bool], inputs: Iterable[Path | str] = (), overwrite: bool = False
) -> None:
    """Raises UserError if a file cannot or must not be written. Its folder may not exist. Nothing is created.

    Args:
        path: the file.
        is_own: whether an existing file is the program's own, by its content; it may raise errors of reading other
            content.
        inputs: files that the program reads; the output must not be one of them, even with `overwrite`.
        overwrite: whether to replace a file that the program did not write.
    """
    if not is_remote(path) and os.path.isdir(path):
        raise UserError(f"{path} cannot be written: it is a folder")
    if not is_remote(path) and os.path.exists(path) and not os.path.isfile(path):
        raise UserError(f"{path} cannot be written: it is a pipe or a device")
    check_writable_folder(path.parent)
    if any(is_same(path, other) for other in inputs):
        raise UserError(f"{path} is an output and an input: choose another file for the output")
    if path.exists() and not overwrite and not reads_as(is_own, path):
        raise UserError(f"{path} exists, and this program did not write it: choose another file, or pass --overwrite")


def is_same(path: Path, other: Path | str) -> bool:
    """Whether two paths name the same file."""
    if is_remote(path) or is_remote(other):
        return str(path) == str(other)
    try:
        return os.path.samefile(path, other)
    except OSError:
        return os.path.abspath(path) == os.path.abspath(other)


def reads_as(is_own: Callable[[Path], bool], path: Path) -> bool:
    """Whether a file is the program's own; False if reading it as such fails."""
    try:
        return is_own(path)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RecursionError, BadZipFile, UserError):
        return False


def files_in(values: Any) -> list[str]:
    """The names of local files among the values of a config."""
    if isinstance(values, str):
        return [values] if values and os.path.isfile(values) else []
    items = values.values() if hasattr(values, "values") else values if isinstance(values, tuple | list) else ()
    return [name for item in items for name in files_in(item)]


def first_bytes(path: Path) -> bytes:
    """The beginning of a file."""
    with path.open("rb") as file:
        return file.read(4096)


def check_directory(
    workdir: Path, writes: Iterable[str], marks: Iterable[str], overwrite: bool = False, flag: str = "--workdir"
) -> None:
    """Raises UserError if this program would replace another program's files in a work directory.

    Args:
        writes: names of files that the program writes to the directory.
        marks: names of files that only this program writes, before the others.
        flag: the flag that gives the directory.
    """
    if overwrite or any((workdir / mark).exists() for mark in marks):
        return
    if foreign_files := [name for name in writes if (workdir / name).exists()]:
        raise UserError(
            f"{workdir} contains a {foreign_files[0]} that this program did not write: choose another {flag}"
        )


def check_writable_folder(path: Path) -> None:
    """Raises UserError if files cannot be written to a local folder, which may not exist. Nothing is created."""
    if is_remote(path):
        return
    ancestor = Path(os.path.abspath(path))
    while not os.path.lexists(ancestor):
        ancestor = ancestor.parent
    try:
        with tempfile.TemporaryFile(dir=ancestor):  # permissions alone do not show every read-only place
            pass
    except OSError as error:
        raise UserError(f"{path} cannot be written: no file can be made in {ancestor} ({error.strerror})") from error


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """Adds the flag --overwrite to a command line."""
    parser.add_argument("--overwrite", action="store_true", help=OVERWRITE)


def add_picture(parser: argparse.ArgumentParser) -> None:
    """Adds --output for a picture, and --overwrite, to a command line."""
    description = "the picture, as .png, .pdf or .svg; without a suffix, all three"
    parser.add_argument("--output", type=work_path, required=True, help=description)
    add_overwrite(parser)
