"""Opening a prepared data set: its encoded images by record index, and all its other fields as a table."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterable

import pyarrow
import tensorflow_datasets as tfds
from tensorflow_datasets.core.data_sources.array_record import ArrayRecordDataSource

from cliptail_jax.datasets.build import build, builds_itself, how_to_prepare
from cliptail_jax.datasets.class_names import are_wnids, choose_class_names
from cliptail_jax.datasets.folder import require_prepared
from cliptail_jax.datasets.metadata import load_metadata, open_records
from cliptail_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Source:
    """One split of a prepared data set.

    It pickles to a few kilobytes, for worker processes: the metadata stays behind and is read again where it is used.
    """

    name: str
    split: str
    class_names: tuple[str, ...]  # in label order; () where the records have no labels
    wnids: tuple[str, ...] | None  # the classes' WordNet ids in label order, where they are known
    folder: pathlib.Path
    records: ArrayRecordDataSource = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.records)

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "metadata"}

    @functools.cached_property
    def metadata(self) -> pyarrow.Table:
        """A row a record, in record order: 'label' (int64) and every other scalar field but the image.

        Texts are strings; a record without a label has -1; a set with 'coarse_label' also has its cleaned name as
        'superclass'.
        """
        return load_metadata(self.folder, self.split)

    def columns(self, *names: str) -> pyarrow.Table:
        """Some columns of the metadata, without reading the others."""
        return load_metadata(self.folder, self.split, names)

    def encoded_images(self, indices: Iterable[int]) -> list[bytes]:
        """The records' images as they are stored (PNG or JPEG)."""
        return [record["image"] for record in self.records.__getitems__([int(index) for index in indices])]


def open_source(name: str, data_dir: str, split: str, class_names: str = "") -> Source:
    """Opens a split of a data set that is prepared in ArrayRecord; glyphs are drawn when first asked for.

    `name` is 'cifar100', 'cifar100:3.0.2' or 'my_set/config' (the latest version unless one is named), `data_dir` the
    folder of prepared data sets ('': TFDS_DATA_DIR, else ~/tensorflow_datasets). `class_names` is a built-in vocabulary
    or the file of one, whose classes are in label order; without it the names are the builder's, cleaned, or CLIP's
    where the builder has ids of ImageNet.

    Raises:
        UserError: the set is missing, incomplete or in another file format, it lacks the split or images, its labels
            are of another kind than classes, or the class names don't fit it.
    """
    folder = build(name, data_dir) if builds_itself(name) else require_prepared(name, data_dir, how_to_prepare)
    info = tfds.builder_from_directory(folder).info
    if split not in info.splits:
        raise UserError(f"data set {name!r} has no split {split!r}; it has {', '.join(sorted(info.splits))}")
    for shard in info.splits[split].filepaths:
        if not shard.exists():
            raise UserError(
                f"data set {name!r} in {folder} lacks the file {shard.name}; remove it and prepare it again"
            )
    labels = label_names(info, name)
    return Source(
        name,
        split,
        choose_class_names(labels, class_names),
        labels if are_wnids(labels) else None,
        folder,
        open_records(folder, split),
    )


def label_names(info: tfds.core.DatasetInfo, name: str) -> tuple[str, ...]:
    """The builder's names of the labels, () where it has none; refuses a set without images."""
    needed = {"image": tfds.features.Image}
    if "label" in info.features:
        needed["label"] = tfds.features.ClassLabel
    for feature, kind in needed.items():
        if feature not in info.features or not isinstance(info.features[feature], kind):
            has = ", ".join(sorted(info.features))
            raise UserError(
                f"data set {name!r} needs a feature {feature!r} of type {kind.__name__}; its features: {has}"
            )
    return tuple(info.features["label"].names) if "label" in needed else ()
