"""Opening a prepared data set: its encoded images by record index, and all its other fields as a table."""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Iterable

import pyarrow
import tensorflow_datasets as tfds
from tensorflow_datasets.core.data_sources.array_record import ArrayRecordDataSource

from cliptail_jax.datasets.build import BUILDERS, build
from cliptail_jax.datasets.folder import require_prepared
from cliptail_jax.datasets.metadata import clean_name, load_metadata, open_records
from cliptail_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Source:
    """One split of a prepared data set.

    It pickles to a few kilobytes, for worker processes: the metadata stays behind and is read again where it is used.
    """

    name: str
    split: str
    class_names: tuple[str, ...]
    folder: pathlib.Path
    records: ArrayRecordDataSource = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.records)

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "metadata"}

    @functools.cached_property
    def metadata(self) -> pyarrow.Table:
        """A row a record, in record order: 'label' (int64) and every other scalar field but the image.

        Texts are strings; a set with 'coarse_label' also has its cleaned name as 'superclass'.
        """
        return load_metadata(self.folder, self.split)

    def encoded_images(self, indices: Iterable[int]) -> list[bytes]:
        """The records' images as they are stored (PNG or JPEG)."""
        return [record["image"] for record in self.records.__getitems__([int(index) for index in indices])]


def open_source(name: str, data_dir: str, split: str, class_names_file: str = "") -> Source:
    """Opens a split of a data set that is prepared in ArrayRecord; the project's own are built when first asked for.

    `name` is 'cifar100', 'cifar100:3.0.2' or 'my_set/config' (the latest version unless one is named), `data_dir` the
    folder of prepared data sets ('': TFDS_DATA_DIR, else ~/tensorflow_datasets). Class names are the builder's, cleaned,
    or those in `class_names_file`, a vocabulary file whose entries are in label order.

    Raises:
        UserError: the set is missing, incomplete or in another file format, it lacks the split, images or labels, or
            the class names don't fit it.
    """
    folder = build(name, data_dir) if name in BUILDERS else require_prepared(name, data_dir)
    info = tfds.builder_from_directory(folder).info
    if split not in info.splits:
        raise UserError(f"data set {name!r} has no split {split!r}; it has {', '.join(sorted(info.splits))}")
    for shard in info.splits[split].filepaths:
        if not shard.exists():
            raise UserError(
                f"data set {name!r} in {folder} lacks the file {shard.name}; remove it and prepare it again"
            )
    for feature, kind in (("image", tfds.features.Image), ("label", tfds.features.ClassLabel)):
        if not isinstance(info.features[feature] if feature in info.features else None, kind):
            has = ", ".join(sorted(info.features))
            raise UserError(
                f"data set {name!r} needs a feature {feature!r} of type {kind.__name__}; its features: {has}"
            )
    class_names = tuple(clean_name(label) for label in info.features["label"].names)
    if class_names_file:
        class_names = read_class_names(class_names_file, len(class_names))
    return Source(name, split, class_names, folder, open_records(folder, split))


def read_class_names(vocabulary_file: str, count: int) -> tuple[str, ...]:
    """The names in a vocabulary file: a JSON list of objects with a 'name' each."""
    try:
        entries = json.loads(pathlib.Path(vocabulary_file).read_text(encoding="utf-8"))
        names = tuple(entry["name"] for entry in entries)
    except OSError as error:
        raise UserError(f"class names file {vocabulary_file} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'class names file {vocabulary_file} is not a JSON list of {{"name": ...}}') from error
    if len(names) != count:
        raise UserError(f"class names file {vocabulary_file} has {len(names)} names, and the data set {count} classes")
    return names
