"""Opens a prepared data set: its encoded images by record index, and all other fields as a table."""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow
import tensorflow_datasets as tfds
from tensorflow_datasets.core.data_sources.array_record import ArrayRecordDataSource

from cliptail_jax.concepts.class_lists import check_unique, imagenet_names, listed_names
from cliptail_jax.datasets.folder import encoding, naming_description, open_builder, require_prepared
from cliptail_jax.datasets.metadata import clean_name, load_metadata
from cliptail_jax.datasets.metadata_table import fingerprint
from cliptail_jax.datasets.records import read_record, shard_of
from cliptail_jax.host.errors import UserError


@dataclasses.dataclass(frozen=True)
class Source:
    """One split of a prepared data set.

    It pickles to a few kilobytes, for worker processes. The metadata is not pickled; workers read it again.
    """

    name: str
    split: str
    class_names: tuple[str, ...]  # in label order; () where the records have no labels
    wnids: tuple[str, ...] | None  # the classes' WordNet ids in label order, where the builder's labels are such ids
    folder: pathlib.Path
    records: ArrayRecordDataSource = dataclasses.field(repr=False)  # with encoded images

    def __len__(self) -> int:
        return len(self.records)

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "metadata"}

    @functools.cached_property
    def metadata(self) -> pyarrow.Table:
        """A row per record, in record order: 'label' (int64) and every other scalar field.

        Texts are strings, and records without a label have -1. A set with 'coarse_label' also has its cleaned name as
        'superclass', and CIFAR-100 has 'kind_of', a phrase such as 'a kind of vehicle'.
        """
        return load_metadata(self.folder, self.records)

    @property
    def shards(self) -> str:
        """The SHA-256 of the names, sizes and numbers of records of its files, which differs between different images."""
        info = self.records.dataset_info.splits[self.split]
        return fingerprint(info.filepaths, info.shard_lengths)

    @property
    def encoding(self) -> dict[str, int]:
        """The re-encoding of its images when it was built: `short_side` and `quality`; {} for none."""
        return encoding(self.folder)

    def encoded_images(self, indices: Iterable[int | np.integer]) -> list[bytes]:
        """The records' encoded images (PNG or JPEG); b"" if the shard is damaged there."""
        indices = [int(index) for index in indices]
        try:
            serialized_records = self.records.data_source.__getitems__(indices) if indices else []
        except RuntimeError:  # one of them is damaged
            records = [read_record(self.records, index) for index in indices]
            return [record["image"] if record else b"" for record in records]
        # Parsing the other features of a record would take twice as long as all else.
        image = tfds.features.FeaturesDict({"image": self.records.dataset_info.features["image"]})
        decoders = {"image": tfds.decode.SkipDecoding()}
        return [image.deserialize_example_np(record, decoders=decoders)["image"] for record in serialized_records]

    def file_of(self, record: int) -> pathlib.Path:
        """The shard that contains a record."""
        return shard_of(self.records.dataset_info.splits[self.split], record)


def open_source(name: str, data_dir: str, split: str, class_names: str = "") -> Source:
    """Opens a split of a data set that is prepared in ArrayRecord.

    Args:
        name: 'cifar100', 'cifar100:3.0.2' or 'my_set/config'; the latest version unless one is given.
        data_dir: the folder of prepared data sets; '' for TFDS_DATA_DIR, else ~/tensorflow_datasets.
        split: 'train', 'test', ...
        class_names: a built-in class list or a file with the classes in label order; '' for the builder's
            names, cleaned, or CLIP's names where the builder's are WordNet ids of ImageNet.

    Raises:
        UserError: The set is missing, incomplete or in another file format, it lacks the split or images, its labels
            are not classes, or the class names do not fit it.

    Example:

        source = open_source("cifar100", "", "train")
        source.metadata["label"][0], source.encoded_images([0])
    """
    folder = require_prepared(name, data_dir)
    builder = open_builder(folder)
    info = builder.info
    if split not in info.splits:
        raise UserError(f"data set {name!r} has no split {split!r}; it has {', '.join(sorted(info.splits))}")
    for shard in info.splits[split].filepaths:
        if not shard.exists():
            raise UserError(
                f"data set {name!r} in {folder} lacks the file {shard.name}; remove it and prepare it again"
            )
    labels = label_names(info, name)
    wnids = labels if labels and all(re.fullmatch("n[0-9]{8}", label) for label in labels) else None
    with naming_description(folder):
        records = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
    return Source(name, split, choose_class_names(labels, class_names), wnids, folder, records)


def label_names(info: tfds.core.DatasetInfo, name: str) -> tuple[str, ...]:
    """The builder's names of the labels, () if there are none.

    Raises:
        UserError: The set has no images, or labels that are not classes.
    """
    has_labels = "label" in info.features
    kinds = {"image": tfds.features.Image} | ({"label": tfds.features.ClassLabel} if has_labels else {})
    for feature, kind in kinds.items():
        if feature not in info.features or not isinstance(info.features[feature], kind):
            raise UserError(
                f"data set {name!r} needs a feature {feature!r} of type {kind.__name__}; its features: "
                f"{', '.join(sorted(info.features))}"
            )
    return tuple(info.features["label"].names) if has_labels else ()


def choose_class_names(labels: Sequence[str], classes: str) -> tuple[str, ...]:
    """The names of a source's classes, in label order.

    Args:
        labels: the builder's names of the labels.
        classes: as `class_names` of `open_source`.

    Raises:
        UserError: The list cannot be read or has another number of classes, or a name occurs twice.
    """
    if not labels:
        return ()
    imagenet = imagenet_names("imagenet1k")
    if classes in ("", "imagenet1k") and set(labels) <= set(imagenet):
        return tuple(imagenet[wnid] for wnid in labels)
    names = listed_names(classes) if classes else tuple(clean_name(label) for label in labels)
    if len(names) != len(labels):
        raise UserError(f"{classes} has {len(names)} names, and the data set has {len(labels)} classes")
    check_unique(names, classes or "the builder's list (which data.class_names can replace)")
    return names
