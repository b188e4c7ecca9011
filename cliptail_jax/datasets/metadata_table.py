"""The file of a split's metadata table, beside its shards.

`metadata-SPLIT.parquet` has a row per record, in record order; its column `record` is the row's index. Its pages have
checksums. In its schema's metadata, `shards` is a fingerprint of its shards, `names` a fingerprint of the class names
(not in older tables), and `skipped` (JSON) the number of records that the builder skipped, by reason.
"""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow
import pyarrow.parquet
import tensorflow_datasets as tfds

from cliptail_jax.formats.prepared import table_path
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import absolute, digest_of, digest_of_json, file_size, is_remote, readable, replacing

WRITE_BATCH = 1 << 16
SUPERCLASS = "superclass"


def table_schema(features: tfds.features.FeaturesDict) -> pyarrow.Schema:
    """The columns of the table: the record's index, every scalar feature by name, and the name of a 'coarse_label'."""
    kinds = {name: arrow_type(feature) for name, feature in sorted(features.items()) if feature.shape == ()}
    superclass = {SUPERCLASS: pyarrow.string()} if "coarse_label" in class_labels(features) else {}
    return pyarrow.schema({"record": pyarrow.int64()} | kinds | superclass)


def arrow_type(feature: tfds.features.FeatureConnector) -> pyarrow.DataType:
    dtype = np.dtype(feature.np_dtype)
    return pyarrow.string() if dtype.kind in "OSU" else pyarrow.from_numpy_dtype(dtype)


def class_labels(features: tfds.features.FeaturesDict) -> dict[str, tfds.features.ClassLabel]:
    """The label features, whose class names are in text files."""
    return {name: kind for name, kind in sorted(features.items()) if isinstance(kind, tfds.features.ClassLabel)}


def names_digest(features: tfds.features.FeaturesDict) -> str:
    """The SHA-256 of all class names, as TFDS reads them from their files."""
    return digest_of_json({name: [*map(str.strip, label.names)] for name, label in class_labels(features).items()})


def origin(
    shards: str, features: tfds.features.FeaturesDict, skip_counts: Mapping[str, int] | None = None
) -> dict[str, str]:
    """The schema's metadata of a table for the shards with this fingerprint."""
    facts = {"shards": shards, "names": names_digest(features)}
    return facts | ({"skipped": json.dumps(dict(skip_counts))} if skip_counts is not None else {})


def fingerprint(shards: Sequence[os.PathLike], counts: Sequence[int]) -> str:
    """The SHA-256 of the shards' names, sizes and numbers of records."""
    lines = (f"{os.path.basename(shard)} {file_size(shard)} {count}\n" for shard, count in zip(shards, counts))
    return digest_of(line.encode() for line in lines)


class DamagedTableError(Exception):
    """A table is damaged. The message continues a sentence that begins with the table's name."""


def read_table(path: pathlib.Path, features: tfds.features.FeaturesDict) -> pyarrow.Table:
    """Reads the table of a set with these features.

    Raises:
        DamagedTableError: It is damaged.
        UserError: The file cannot be read.
    """
    try:
        # Pre-buffering takes half as much memory again, and is slower on a disk.
        file = pyarrow.parquet.ParquetFile(readable(path), pre_buffer=False, page_checksum_verification=True)
        # The pages' checksums do not cover the schema.
        if b"shards" not in (file.schema_arrow.metadata or {}) or not file.schema_arrow.equals(table_schema(features)):
            raise DamagedTableError("is damaged: its schema is not that of the data set")
        return file.read()
    except (OSError, ValueError, MemoryError, pyarrow.ArrowException) as error:  # ValueError: a name is not UTF-8
        if getattr(error, "errno", None):
            raise UserError(f"metadata table {path} cannot be read: {error.strerror}") from error
        raise DamagedTableError(f"is damaged: {' '.join(str(error).split())}") from error


def disagreement(table: pyarrow.Table, shards: str, count: int) -> str:
    """Why a table does not belong to the shards with this fingerprint and number of records; '' if it does."""
    if len(table) != count:
        return f"it has {len(table):,} rows, and the shards have {count:,} records"
    if table.schema.metadata[b"shards"].decode() != shards:
        return "it was made for shards of other names or sizes (its fingerprint is not theirs)"
    if not np.array_equal(table["record"].to_numpy(), np.arange(count)):
        return "its rows are not in the order of their records"
    return ""


def skipped_records(folder: pathlib.Path, split: str) -> dict[str, int]:
    """The number of records of a split that the builder skipped, by reason; {} if it is not recorded."""
    try:
        return json.loads(pyarrow.parquet.read_schema(readable(table_path(folder, split))).metadata[b"skipped"])
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException):  # it is missing or damaged
        return {}


def save_table(table: pyarrow.Table, path: pathlib.Path) -> None:
    """Saves the table, unless the folder is read-only or in a bucket."""
    if is_remote(path) or not os.access(path.parent, os.W_OK):
        return
    if os.stat(path.parent).st_mode & 0o222:  # even root should not write where no bit is set
        with replacing(path) as partial:
            pyarrow.parquet.write_table(table, partial, write_page_checksum=True)


class TableWriter:
    """Writes the metadata table of a split whose records come one at a time, in the memory of a batch."""

    def __init__(self, path: pathlib.Path, features: tfds.features.FeaturesDict):
        self.schema, self.features = table_schema(features), features
        self.rows, self.count = [], 0
        # Without the Arrow schema in the file, readers take the metadata that `finish` adds for the schema's.
        self.table = pyarrow.parquet.ParquetWriter(
            absolute(path), self.schema, store_schema=False, write_page_checksum=True
        )

    def add(self, example: Mapping) -> None:
        """Adds a record's fields other than the image."""
        self.rows.append({name: example[name] for name in self.schema.names[1:]} | {"record": self.count})
        self.count += 1
        if len(self.rows) == WRITE_BATCH:
            self.flush()

    def flush(self) -> None:
        self.table.write_batch(pyarrow.RecordBatch.from_pylist(self.rows, self.schema))
        self.rows = []

    def finish(self, shards: str, skip_counts: Mapping[str, int]) -> None:
        """Completes the table, for the shards with this fingerprint."""
        self.flush()
        self.table.add_key_value_metadata(origin(shards, self.features, skip_counts))
        self.table.close()
