"""Builds one of the project's own data sets: `python -m cliptail_jax.datasets.build glyphs --data_dir=DIR`.

All but glyphs are made from raw data that --raw names; what each needs stands in cliptail_jax/datasets/README.md.
"""

import argparse
import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import sys
import time
from collections.abc import Iterator

import tensorflow_datasets as tfds
from absl import logging

from cliptail_jax.datasets.birdsnap import Birdsnap
from cliptail_jax.datasets.fgvc_aircraft import FgvcAircraft
from cliptail_jax.datasets.folder import resolve_data_dir
from cliptail_jax.datasets.glyphs.glyphs import Glyphs
from cliptail_jax.datasets.image_text import ImageText
from cliptail_jax.datasets.imagenet_captions import ImagenetCaptions
from cliptail_jax.datasets.laionet import Laionet
from cliptail_jax.datasets.metadata import load_metadata, skipped, table_path
from cliptail_jax.errors import UserError

BUILDERS = {
    "birdsnap": Birdsnap,
    "fgvc_aircraft": FgvcAircraft,
    "glyphs": Glyphs,
    "image_text": ImageText,
    "imagenet_captions": ImagenetCaptions,
    "laionet": Laionet,
}


def options_of(name: str) -> dict[str, str]:
    """What a data set's builder takes, with an explanation of each."""
    return getattr(BUILDERS[name], "OPTIONS", {})


def builds_itself(name: str) -> bool:
    """Whether it is a data set of the project that needs no raw data."""
    return name in BUILDERS and "raw" not in options_of(name)


def how_to_prepare(name: str, root: pathlib.Path) -> str:
    """The command or the code that prepares a data set below a root folder."""
    path = name.partition(":")[0]
    if path.partition("/")[0] in BUILDERS:
        return f"python -m cliptail_jax.datasets.build {path} --data_dir={root} --raw=PATH"
    return (
        f"tfds.builder({name!r}, data_dir='{root}', file_format='array_record').download_and_prepare() in Python, "
        "with tensorflow_datasets as tfds, and most of its sets with TensorFlow installed (pip install tensorflow-cpu)"
    )


def full_name(name: str) -> str:
    """The name of a data set of the project with its config if it has any: 'fgvc_aircraft' as 'fgvc_aircraft/variant'.

    Raises:
        UserError: the project has no such data set or config.
    """
    path, slash, config = name.partition("/")
    if path not in BUILDERS:
        raise UserError(f"no data set {path!r} to build; there is {', '.join(sorted(BUILDERS))}")
    configs = [known.name for known in BUILDERS[path].BUILDER_CONFIGS]
    if configs and not slash:
        return f"{path}/{configs[0]}"
    takes_any = getattr(BUILDERS[path], "ANY_CONFIG", False) and re.fullmatch(r"\w[\w-]*", config)
    if slash and config not in configs and not takes_any:
        raise UserError(f"data set {path!r} has no config {config!r}; it has {', '.join(configs) or 'none'}")
    return name


def built_folder(name: str, data_dir: str) -> pathlib.Path:
    """Where a data set of the project lies once it is built."""
    name = full_name(name)
    return resolve_data_dir(data_dir) / name / str(BUILDERS[name.partition("/")[0]].VERSION)


def build(name: str, data_dir: str, **options: str) -> pathlib.Path:
    """Builds a data set of the project unless it is there already, and says where it is.

    It is built in a hidden folder and renamed when complete, so that an interrupted build leaves nothing that loads. Of
    several processes that ask at once, one builds and the others wait for it.

    Args:
        name: one of `BUILDERS`, with a config after a slash where it has any.
        options: what its builder takes, such as `raw`.

    Raises:
        UserError: the project has no such data set, an option is missing or not one of its, the raw data are not what
            they should be, or the folder cannot be written.
    """
    folder = built_folder(name, data_dir)
    if folder.is_dir():
        return folder
    check_options(name.partition("/")[0], options)
    try:
        with exclusively(folder.parent):
            if not folder.is_dir():
                build_into(full_name(name), folder, options)
    except OSError as error:
        reason = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        raise UserError(f"data set {name!r} cannot be built in {folder.parent}: {reason}") from error
    return folder


def check_options(name: str, options: dict[str, str]) -> None:
    known = options_of(name)
    for option in options:
        if option not in known:
            takes = ", ".join(f"--{option}" for option in known) or "no options"
            raise UserError(f"data set {name!r} takes {takes}, and not --{option}")


@contextlib.contextmanager
def exclusively(folder: pathlib.Path) -> Iterator[None]:
    """Waits until no other process is in here for the same folder. The lock ends with its process."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_into(name: str, folder: pathlib.Path, options: dict[str, str]) -> None:
    unfinished = folder.parent / ".unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    path, _, config = name.partition("/")
    if config and not BUILDERS[path].BUILDER_CONFIGS:
        config = tfds.core.BuilderConfig(name=config)
    with quiet_tfds():
        builder = BUILDERS[path](data_dir=unfinished, file_format="array_record", config=config or None, **options)
        builder.download_and_prepare()
    built = pathlib.Path(builder.data_dir)
    for split in builder.info.splits:
        if not table_path(built, split).exists():
            load_metadata(built, split)
    os.rename(built, folder)
    shutil.rmtree(unfinished)


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Without TFDS's messages, which would name the unfinished folder; the builders show their own progress."""
    tfds.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    finally:
        logging.set_verbosity(verbosity)
        tfds.enable_progress_bar()


def report(folder: pathlib.Path) -> str:
    """How many records a built data set has, its size, and what the builder left out."""
    splits = tfds.builder_from_directory(folder).info.splits
    records = " + ".join(f"{info.num_examples:,} {split}" for split, info in splits.items())
    megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    left_out = [f"{count:,} {reason}" for split in splits for reason, count in skipped(folder, split).items()]
    return f"{records} records, {megabytes:,.0f} MB" + "".join(f", skipped {some}" for some in left_out)


def parse(arguments: list[str]) -> tuple[argparse.Namespace, dict[str, str]]:
    """The command line: name and data_dir, and apart from them the builder's options that are given."""
    parser = argparse.ArgumentParser(prog="python -m cliptail_jax.datasets.build", description=__doc__)
    parser.add_argument("name", help=f"one of: {', '.join(sorted(BUILDERS))}; with a config: image_text/yfcc15m")
    parser.add_argument(
        "--data_dir", default="", help="default: the environment's TFDS_DATA_DIR, else ~/tensorflow_datasets"
    )
    explanations = {}
    for name in sorted(BUILDERS):
        for option, explanation in options_of(name).items():
            explanations.setdefault(option, []).append(f"{name}: {explanation}")
    for option, lines in explanations.items():
        parser.add_argument(f"--{option}", help="; ".join(lines))
    parsed = parser.parse_args(arguments)
    return parsed, {option: getattr(parsed, option) for option in explanations if getattr(parsed, option) is not None}


def main(arguments: list[str]) -> int:
    """Builds what the command line names; returns the exit status."""
    parsed, options = parse(arguments)
    start = time.monotonic()
    try:
        already_built = built_folder(parsed.name, parsed.data_dir).is_dir()
        folder = build(parsed.name, parsed.data_dir, **options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    done = "already there" if already_built else f"built in {time.monotonic() - start:.0f} s"
    print(f"{full_name(parsed.name)}: {folder} ({report(folder)}, {done})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
