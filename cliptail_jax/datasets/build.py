"""Builds one of the project's own data sets: `python -m cliptail_jax.datasets.build glyphs --data_dir=DIR`."""

import argparse
import contextlib
import fcntl
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Iterator

import tensorflow_datasets as tfds

from cliptail_jax.datasets.folder import resolve_data_dir
from cliptail_jax.datasets.glyphs.glyphs import Glyphs
from cliptail_jax.datasets.metadata import load_metadata
from cliptail_jax.errors import UserError

BUILDERS = {"glyphs": Glyphs}


def built_folder(name: str, data_dir: str) -> pathlib.Path:
    """Where a data set of the project lies once it is built."""
    if name not in BUILDERS:
        raise UserError(f"no data set {name!r} to build; there is {', '.join(sorted(BUILDERS))}")
    return resolve_data_dir(data_dir) / name / str(BUILDERS[name].VERSION)


def build(name: str, data_dir: str) -> pathlib.Path:
    """Builds a data set of the project unless it is there already, and says where it is.

    It is built in a hidden folder and renamed when complete, so that an interrupted build leaves nothing that loads. Of
    several processes that ask at once, one builds and the others wait for it.

    Raises:
        UserError: the project has no such data set, or the folder cannot be written.
    """
    folder = built_folder(name, data_dir)
    if folder.is_dir():
        return folder
    try:
        with exclusively(folder.parent):
            if not folder.is_dir():
                build_into(name, folder)
    except OSError as error:
        raise UserError(f"data set {name!r} cannot be built in {folder.parent}: {error.strerror or error}") from error
    return folder


@contextlib.contextmanager
def exclusively(folder: pathlib.Path) -> Iterator[None]:
    """Waits until no other process is in here for the same folder. The lock ends with its process."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_into(name: str, folder: pathlib.Path) -> None:
    unfinished = folder.parent / ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    builder = BUILDERS[name](data_dir=unfinished, file_format="array_record")
    with quiet_tfds():
        builder.download_and_prepare()
    for split in builder.info.splits:
        load_metadata(pathlib.Path(builder.data_dir), split)
    os.rename(builder.data_dir, folder)
    shutil.rmtree(unfinished)


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Without TFDS's messages, which would name the unfinished folder; the builders show their own progress."""
    tfds.disable_progress_bar()
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    finally:
        tfds.enable_progress_bar()


def main(arguments: list[str]) -> int:
    """Builds what the command line names; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m cliptail_jax.datasets.build", description=__doc__)
    parser.add_argument("name", help=f"one of: {', '.join(sorted(BUILDERS))}")
    parser.add_argument(
        "--data_dir", default="", help="default: the environment's TFDS_DATA_DIR, else ~/tensorflow_datasets"
    )
    options = parser.parse_args(arguments)
    start = time.monotonic()
    try:
        already_built = built_folder(options.name, options.data_dir).is_dir()
        folder = build(options.name, options.data_dir)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    done = "already there" if already_built else f"built in {time.monotonic() - start:.0f} s"
    print(f"{options.name}: {folder} ({megabytes:.0f} MB, {done})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
