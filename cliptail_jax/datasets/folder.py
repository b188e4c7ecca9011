"""Opens the folders of prepared data sets."""

import contextlib
import pathlib
from collections.abc import Iterator

import tensorflow_datasets as tfds

from cliptail_jax.datasets.known_sources import BUILDERS
from cliptail_jax.datasets.options import options_of
from cliptail_jax.formats.prepared import INFO, VERSION, find_prepared, prepared_names, resolve_data_dir, split_name
from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.host.files import read_json


def require_prepared(name: str, data_dir: str) -> pathlib.Path:
    """The folder of a data set that is prepared in ArrayRecord.

    Raises:
        UserError: The data set is not prepared, or it is in another file format.
    """
    root = resolve_data_dir(data_dir)
    try:
        folder = find_prepared(name, data_dir)
    except OSError as error:
        raise UserError(f"the folder {root} of data sets cannot be read: {error.strerror}") from error
    advice = f"prepare it by {preparation_command(name, root)}"
    if folder is None:
        path, version = split_name(name)
        folders = [child for child in sorted((root / path).glob("*")) if VERSION.fullmatch(child.name)]
        if folders := [child for child in folders if version in ("", child.name)]:
            raise UserError(f"data set {name!r} in {folders[-1]} lacks the file {INFO}; remove it, then {advice}")
        prepared_sets = prepared_names(root)
        known_names = [
            *BUILDERS,
            *tfds.list_builders(with_community_datasets=False),
            *(prepared_set.partition(":")[0] for prepared_set in prepared_sets),
        ]
        if path not in known_names and path.partition("/")[0] not in known_names:
            advice = f"no builder has this name{did_you_mean(path, dict.fromkeys(known_names))}"
        raise UserError(
            f"data set {name!r} is not prepared below {root} (it has {', '.join(prepared_sets) or 'no data set'}); {advice}"
        )
    file_format = read_json(folder / INFO).get("fileFormat", "tfrecord")
    if file_format != "array_record":
        raise UserError(
            f"data set {name!r} in {folder} is prepared as {file_format!r}, and file_format='array_record' is needed; "
            f"remove it, then {advice}"
        )
    return folder


def open_builder(folder: pathlib.Path) -> tfds.core.DatasetBuilder:
    """TFDS's builder of a prepared data set, for its description and its records.

    Raises:
        UserError: One of the files that describe the data set is missing or damaged.
    """
    with naming_description(folder):
        builder = tfds.builder_from_directory(folder)
        for split in builder.info.splits.values():
            _ = split.filepaths  # raises an error if they are invalid
        features = dict(builder.info.features)
    for name, feature in features.items():
        if isinstance(feature, tfds.features.ClassLabel):
            if not feature.num_classes:
                raise cannot_be_read(folder / "features.json", f"it has no number of classes for {name!r}")
            check_names(folder / f"{name}.labels.txt", feature.num_classes)
    return builder


def encoding(folder: pathlib.Path) -> dict[str, int]:
    """The re-encoding of a set's images when it was built: `short_side` and `quality`; {} for none."""
    metadata = open_builder(folder).info.metadata or {}
    return {key: metadata[key] for key in ("short_side", "quality") if key in metadata}


@contextlib.contextmanager
def naming_description(folder: pathlib.Path) -> Iterator[None]:
    """Turns any exception of TFDS into a UserError that names the files it reads."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{folder}/{INFO} or features.json is damaged: {reason}; remove {folder} and prepare the data set again"
        ) from error


def check_names(path: pathlib.Path, classes: int) -> None:
    """Raises UserError for a file of label names that TFDS would ignore or read only in part. It may be absent."""
    try:
        names = sum(bool(line.strip()) for line in path.read_text(encoding="utf-8").split("\n"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise cannot_be_read(path, error) from error
    if names != classes:
        raise cannot_be_read(path, f"it has {names} names, and the data set has {classes} classes")


def cannot_be_read(path: pathlib.Path, error: Exception | str) -> UserError:
    reason = getattr(error, "strerror", None) or error
    return UserError(
        f"{path} cannot be read: {reason}; restore it, or remove {path.parent} and prepare the data set again"
    )


def preparation_command(name: str, root: pathlib.Path) -> str:
    """The command or the code that prepares a data set below a root folder."""
    path = name.partition(":")[0]
    if path.partition("/")[0] in BUILDERS:
        raw = " --train=FOLDER" if path.partition("/")[0] == "image_folder" else " --raw=PATH"
        return f"cliptail build {path} --data_dir={root}{raw * bool(options_of(path))}"
    return (
        f"tfds.builder({name!r}, data_dir='{root}', file_format='array_record').download_and_prepare() in Python, "
        "with tensorflow_datasets as tfds, and most of its sets with TensorFlow installed (pip install tensorflow-cpu)"
    )
