"""Builds the project's own data sets in TFDS's format."""

import collections
import contextlib
import dataclasses
import inspect
import os
import pathlib
import pkgutil
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator

import tensorflow_datasets as tfds
from absl import logging

from cliptail_jax.config.fields import difference
from cliptail_jax.datasets.folder import encoding, open_builder
from cliptail_jax.datasets.known_sources import BUILDERS
from cliptail_jax.datasets.metadata_table import skipped_records
from cliptail_jax.datasets.options import options_of
from cliptail_jax.datasets.own_splits import OwnSplits, raw_of_splits
from cliptail_jax.datasets.reencoded import read_reencoding
from cliptail_jax.datasets.streaming import StreamingBuilder
from cliptail_jax.formats.prepared import resolve_data_dir
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import locked, read_json, write_json
from cliptail_jax.host.outputs import check_writable_folder

PATHS = ("raw", "class_names", "images", "table")  # options that name files, except those of splits
ORIGIN = "built_from.json"  # in the folder of a built set: its options


def builder_of(name: str) -> type[StreamingBuilder]:
    """Imports the builder class of one of `BUILDERS`, with or without a config."""
    return pkgutil.resolve_name(f"{__package__}.{BUILDERS[name.partition('/')[0]]}")


def needs_no_raw_data(name: str) -> bool:
    """Whether a data set of the project is generated, without raw data."""
    is_own = name.partition("/")[0] in BUILDERS and ":" not in name  # only one version can be made
    return is_own and not options_of(name)


def draw_missing(sets: Iterable[str], data_dir: str) -> None:
    """Draws those of the sets that the project generates, such as 'glyphs:test', unless they exist.

    Programs call it before they open data, because opening a data set does not build it:

        draw_missing(["glyphs:test"], data_dir="")
        source = open_source("glyphs", "", "test")
    """
    for name in dict.fromkeys(re.split("[:@]", name)[0] for name in sets):
        if needs_no_raw_data(name):
            build(name, data_dir)


def full_name(name: str) -> str:
    """A data set's name with its default config, if any: 'fgvc_aircraft/variant' for 'fgvc_aircraft'.

    Raises:
        UserError: The project has no such data set or config.
    """
    path, slash, config = name.partition("/")
    if path not in BUILDERS:
        raise UserError(f"no data set {path!r} to build; there is {', '.join(sorted(BUILDERS))}")
    builder = builder_of(path)
    configs = [*(builder_config.name for builder_config in builder.BUILDER_CONFIGS), *builder.FURTHER_SETS]
    if builder.BUILDER_CONFIGS and not slash:
        return f"{path}/{configs[0]}"
    is_free_name = builder.ANY_CONFIG and re.fullmatch(r"\w[\w-]*", config)
    if slash and builder.ANY_CONFIG and not is_free_name:
        raise UserError(f"data set {path!r} cannot have the name {config!r}: a name has letters, digits, _ and -")
    if slash and config not in configs and not is_free_name:
        raise UserError(f"data set {path!r} has no config {config!r}; it has {', '.join(configs) or 'none'}")
    return name


def built_folder(name: str, data_dir: str) -> pathlib.Path:
    """The folder of a data set of the project once it is built."""
    name = full_name(name)
    return resolve_data_dir(data_dir) / name / str(builder_of(name).VERSION)


def build(name: str, data_dir: str, **options: str | bool) -> pathlib.Path:
    """Builds a data set of the project unless it exists, and returns its folder.

    It is built in a hidden folder and renamed when complete, so an interrupted build leaves nothing that loads. If
    several processes call this at once, one builds and the others wait.

    Args:
        name: one of `BUILDERS`, with a config after a slash if it has configs.
        options: the options of its builder, such as `raw`.

    Example: `build("image_folder/birds", "", train="birds/train", val="birds/val")`

    Raises:
        UserError: The project has no such data set, it is built from other raw data or with other options, an option is missing
            or unknown, the raw data are invalid, or the folder cannot be written.
    """
    folder = built_folder(name, data_dir)
    if os.path.isdir(folder):
        check_reencoding(folder, options)
        check_splits(folder, name, options)
        check_origin(folder, name, options)
        return folder
    check_writable_folder(folder.parent)
    explanations = options_of(name)
    for option in options.keys() - explanations.keys():
        known_options = ", ".join(f"--{option}" for option in explanations) or "no options"
        raise UserError(f"data set {name.partition('/')[0]!r} takes {known_options}, and not --{option}")
    try:
        with locked(folder.parent / ".lock"):
            if not folder.is_dir():
                if not explanations:  # it may be a program's first use of the set
                    print(f"{name} is drawn into {folder}, once, in a minute or more", file=sys.stderr)
                build_into(full_name(name), folder, options)
    except OSError as error:
        reason = f"{error.strerror}: {error.filename}" if error.filename else str(error)
        raise UserError(f"data set {name!r} cannot be built in {folder.parent}: {reason}") from error
    return folder


def check_reencoding(folder: pathlib.Path, options: dict[str, str | bool]) -> None:
    """Raises UserError if a built set's images are not encoded with the given options."""
    reencoding = read_reencoding(options.get("short_side", ""), options.get("quality", ""))
    if reencoding and encoding(folder) != dataclasses.asdict(reencoding):
        raise UserError(
            f"{folder} exists without --short_side={reencoding.short_side} --quality={reencoding.quality}: remove it, or build into "
            "another --data_dir"
        )


def check_splits(folder: pathlib.Path, name: str, options: dict[str, str | bool]) -> None:
    """Raises UserError if a built set lacks a split that the options name."""
    if not issubclass(builder_of(name), OwnSplits):
        return
    splits = open_builder(folder).info.splits
    if missing_splits := [split for split in raw_of_splits(options) if split not in splits]:
        raise UserError(
            f"{folder} exists, and a data set is built as a whole: to add the split {missing_splits[0]!r} to {', '.join(splits)}, "
            "remove the folder and give all splits in one command, or choose another name"
        )


def check_origin(folder: pathlib.Path, name: str, options: dict[str, str | bool]) -> None:
    """Raises UserError if a set was built with other options, unless none are given, or earlier versions built it."""
    old_origin = read_json(folder / ORIGIN)
    if not options or old_origin is None:
        return
    if changes := difference(old_origin, origin(name, options)):
        raise UserError(
            f"{folder} was built with other options ({changes}): remove it to build it again, or choose another name or --data_dir"
        )


def origin(name: str, options: dict[str, str | bool]) -> dict[str, str]:
    """The options without defaults, with absolute paths, and with the raw data of each split if it has its own."""
    builder = builder_of(name)
    defaults = {key: argument.default for key, argument in inspect.signature(builder).parameters.items()}
    options = {option: value for option, value in options.items() if value != defaults.get(option, "")}
    if issubclass(builder, OwnSplits):
        builder_options = {option: value for option, value in options.items() if option not in ("raw", "split")}
        options = builder_options | raw_of_splits(options)
    return {
        option: os.path.abspath(os.path.expanduser(value))
        if option in PATHS or isinstance(value, os.PathLike)
        else str(value)
        for option, value in options.items()
        if value is not False
    }


def build_command(name: str, data_dir: str, **options: str | bool) -> None:
    """Build a data set, and print its folder and what it contains. Arguments and errors as for `build`."""
    start, is_there = time.monotonic(), built_folder(name, data_dir).is_dir()
    folder = build(name, data_dir, **options)
    outcome = f"built in {time.monotonic() - start:.0f} s"
    if is_there:
        outcome = "already there; remove the folder to build it again"
    print(f"{full_name(name)}: {folder} ({report(folder)}, {outcome})")


def build_into(name: str, folder: pathlib.Path, options: dict[str, str | bool]) -> None:
    partial_folder = folder.parent / ".unfinished"
    shutil.rmtree(partial_folder, ignore_errors=True)
    config = name.partition("/")[2]
    if config and not builder_of(name).BUILDER_CONFIGS:
        config = tfds.core.BuilderConfig(name=config)
    with quiet_tfds():
        builder = builder_of(name)(data_dir=partial_folder, config=config or None, **options)
        builder.download_and_prepare()
    write_json(pathlib.Path(builder.data_dir, ORIGIN), origin(name, options))
    os.rename(builder.data_dir, folder)
    shutil.rmtree(partial_folder)


@contextlib.contextmanager
def quiet_tfds() -> Iterator[None]:
    """Suppresses TFDS's messages, which name the unfinished folder. The builders show their own progress."""
    tfds.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    finally:
        logging.set_verbosity(verbosity)
        tfds.enable_progress_bar()


def report(folder: pathlib.Path) -> str:
    """The number of records of a built data set, its size, and what the builder skipped."""
    splits = open_builder(folder).info.splits
    records = " + ".join(f"{info.num_examples:,} {split}" for split, info in splits.items())
    megabytes = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    skip_counts = sum((collections.Counter(skipped_records(folder, split)) for split in splits), collections.Counter())
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in skip_counts.items())
    return f"{records} records, {megabytes:,.0f} MB" + (f", skipped ({reasons})" if reasons else "")
