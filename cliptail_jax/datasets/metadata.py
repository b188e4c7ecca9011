"""The scalar fields of a split's records, as a table beside the shards.

The file `metadata-SPLIT.parquet` has a row per record, in record order; its column `record` is the row's index. In its
schema's metadata, `shards` is a fingerprint of the shards it belongs to, `names` is that of the names of the labels' classes
(not in older tables), `skipped` (JSON) is the number of records that the builder skipped, by reason, and `digest` is that of
these three. The pages have checksums.
"""

import json
import os
import pathlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow
import pyarrow.parquet
import tensorflow_datasets as tfds
from tensorflow_datasets.core.data_sources.array_record import ArrayRecordDataSource
from tqdm import tqdm

from cliptail_jax.datasets.folder import cannot_be_read, naming_description, open_builder
from cliptail_jax.datasets.superclasses import KIND_OF, WRITTEN, kind_of
from cliptail_jax.errors import UserError
from cliptail_jax.files import digest_of, digest_of_json, file_size, is_remote, readable, replacing

SCAN_BATCH = 1000
WRITE_BATCH = 1 << 16
SUPERCLASS = "superclass"
DAMAGED_CHUNK = re.compile("Corrupted (?!.*Failed to read RiegeliPostscript)")  # without that, no record can be read


def clean_name(name: str) -> str:
    """A label's name with spaces: 'pickup_truck' becomes 'pickup truck'."""
    return " ".join(name.replace("_", " ").split())


def open_records(folder: pathlib.Path, split: str) -> ArrayRecordDataSource:
    """The split's records, their images still encoded."""
    builder = open_builder(folder)
    with naming_description(folder):
        return builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})


def read_record(records: ArrayRecordDataSource, index: int) -> dict | None:
    """A record; None where the chunk that holds it is damaged. Raises UserError where its shard cannot be read at all."""
    try:
        return records[index]
    except RuntimeError as error:  # ArrayRecord's only one
        if DAMAGED_CHUNK.match(str(error)):
            return None
        shard = shard_of(records.dataset_info.splits[records.split], index)
        raise UserError(f"{shard} cannot be read: {error}; remove the data set and prepare it again") from error


def shard_of(info: tfds.core.SplitInfo, record: int | np.integer) -> pathlib.Path:
    """The file that a record of a split is in."""
    return info.filepaths[int(np.searchsorted(np.cumsum(info.shard_lengths), record, side="right"))]


def table_path(folder: pathlib.Path, split: str) -> pathlib.Path:
    return folder / f"metadata-{split}.parquet"


def load_metadata(folder: pathlib.Path, split: str, columns: Sequence[str] | None = None) -> pyarrow.Table:
    """The scalar numbers and texts of each record, in record order, and 'superclass', the name of a 'coarse_label'.

    'label' is -1 in a set without labels. With CIFAR-100's superclasses there is 'kind_of', too, as people write them;
    it is made of 'superclass' and not stored. The table is read from beside the shards. If it is missing, damaged, or
    from an older version without checksums, it is scanned from the records and saved there, unless the folder is
    read-only.

    Args:
        columns: the columns to read, in this order; all by default.

    Raises:
        UserError: The table beside the shards belongs to others, or to other names of classes, a label is not one of a class,
            or a file cannot be read.
    """
    records = open_records(folder, split)
    info, features = records.dataset_info.splits[split], records.dataset_info.features
    shards = fingerprint(info.filepaths, info.shard_lengths)
    path = table_path(folder, split)
    try:
        table = read_table(path, features, columns and stored_columns(columns))
    except FileNotFoundError:
        table = None
    except DamagedTableError as damage:
        print(f"note: {path} {damage}; it is made again from the shards", file=sys.stderr)
        table = None
    if table is None:
        table = scan(records).replace_schema_metadata(origin(shards, features))
        save_table(table, path)
    elif fault := disagreement(table, shards, len(records)):
        raise UserError(f"metadata table {path} disagrees with the shards beside it: {fault}; remove it")
    elif table.schema.metadata.get(b"names", names_digest(features).encode()) != names_digest(features).encode():
        files = ", ".join(str(folder / f"{name}.labels.txt") for name in class_labels(features))
        raise UserError(
            f"{files}: the names of the classes are not those that the data set was prepared with; restore them, or, if "
            f"the change is yours, remove the tables metadata-*.parquet beside them"
        )
    check_labels(dict(zip(table.column_names, table.columns)), features, lambda record: path)
    if "label" not in table.column_names and (columns is None or "label" in columns):
        table = table.append_column("label", pyarrow.array(np.full(len(table), -1)))
    if SUPERCLASS in table.column_names and has_written_superclasses(features):
        written = map(kind_of, table[SUPERCLASS].to_pylist())
        table = table.append_column(KIND_OF, pyarrow.array(written, pyarrow.string()))
    return table.drop_columns("record") if columns is None else table.select(list(columns))


def has_written_superclasses(features: tfds.features.FeaturesDict) -> bool:
    """Whether the coarse labels are those of CIFAR-100."""
    coarse = class_labels(features).get("coarse_label")
    return coarse is not None and set(map(clean_name, coarse.names)) <= WRITTEN.keys()


def stored_columns(columns: Sequence[str]) -> list[str]:
    """The columns of the table from which the given ones are made."""
    return list(dict.fromkeys(SUPERCLASS if name == KIND_OF else name for name in columns))


def fingerprint(shards: Sequence[os.PathLike], counts: Sequence[int]) -> str:
    """The SHA-256 of the shards' names, sizes and numbers of records."""
    lines = (f"{os.path.basename(shard)} {file_size(shard)} {count}\n" for shard, count in zip(shards, counts))
    return digest_of(line.encode() for line in lines)


def class_labels(features: tfds.features.FeaturesDict) -> dict[str, tfds.features.ClassLabel]:
    """The features that are labels, whose classes' names are in text files."""
    return {name: kind for name, kind in sorted(features.items()) if isinstance(kind, tfds.features.ClassLabel)}


def names_digest(features: tfds.features.FeaturesDict) -> str:
    """The SHA-256 of the names of all labels' classes, as TFDS reads them from their files."""
    return digest_of_json({name: [*map(str.strip, label.names)] for name, label in class_labels(features).items()})


class DamagedTableError(Exception):
    """What is wrong with a table, as the end of a sentence that begins with its name."""


def read_table(
    path: pathlib.Path, features: tfds.features.FeaturesDict, columns: Sequence[str] | None = None
) -> pyarrow.Table:
    """Reads the column 'record' and those that are given, by default all.

    Raises:
        FileNotFoundError: There is no table.
        DamagedTableError: It is damaged, or has no checksums that would tell.
        UserError: The file cannot be read.
    """
    try:
        # Pre-buffering takes half as much memory again, and is slower on a disk.
        file = pyarrow.parquet.ParquetFile(readable(path), pre_buffer=False, page_checksum_verification=True)
        if b"digest" not in (file.schema_arrow.metadata or {}):
            raise DamagedTableError("has no checksums, as older versions wrote it")
        table = file.read(None if columns is None else ["record", *columns])
        # The pages' checksums do not cover the schema.
        if not has_digest(table.schema.metadata or {}) or not file.schema_arrow.equals(table_schema(features)):
            raise DamagedTableError("is damaged: its schema is not that of the data set")
        return table
    except FileNotFoundError:
        raise
    except (OSError, ValueError, MemoryError, pyarrow.ArrowException) as error:  # ValueError: a name is not UTF-8
        if getattr(error, "errno", None):
            raise UserError(f"metadata table {path} cannot be read: {error.strerror}") from error
        raise DamagedTableError(f"is damaged: {' '.join(str(error).split())}") from error


def origin(
    shards: str, features: tfds.features.FeaturesDict, skipped: Mapping[str, int] | None = None
) -> dict[str, str]:
    """The schema's metadata of a table for the shards with this fingerprint."""
    facts = {"shards": shards, "names": names_digest(features)}
    facts |= {"skipped": json.dumps(dict(skipped))} if skipped is not None else {}
    return facts | {"digest": digest_of_json(facts)}


def has_digest(metadata: Mapping[bytes, bytes]) -> bool:
    """Whether a schema's metadata has the digest of what `origin` put there."""
    known = ("shards", "names", "skipped")
    facts = {name: metadata[name.encode()].decode() for name in known if name.encode() in metadata}
    return metadata.get(b"digest", b"").decode() == digest_of_json(facts)


def disagreement(table: pyarrow.Table, shards: str, count: int) -> str:
    """Why a table does not belong to the shards with this fingerprint and number of records; '' if it does."""
    if len(table) != count:
        return f"it has {len(table):,} rows, and they {count:,} records"
    if table.schema.metadata[b"shards"].decode() != shards:
        return "it was made for shards of other names or sizes (its fingerprint is not theirs)"
    if "record" not in table.column_names or not np.array_equal(table["record"].to_numpy(), np.arange(count)):
        return "its rows are not in the order of their records"
    return ""


def skipped(folder: pathlib.Path, split: str) -> dict[str, int]:
    """The number of records of a split that the builder skipped, by reason; {} where it is not recorded."""
    try:
        metadata = pyarrow.parquet.read_schema(readable(table_path(folder, split))).metadata or {}
        return json.loads(metadata[b"skipped"]) if has_digest(metadata) else {}
    except (OSError, ValueError, KeyError, pyarrow.ArrowException):  # it is missing or damaged
        return {}


def check_labels(
    columns: Mapping[str, Sequence | np.ndarray | pyarrow.ChunkedArray],
    features: tfds.features.FeaturesDict,
    file_of: Callable[[int], pathlib.Path],
) -> None:
    """Raises UserError where a label is neither one of the classes nor -1, for none; `file_of` gives a record's file."""
    for name, label in class_labels(features).items():
        if name in columns:
            labels, classes = np.asarray(columns[name]), label.num_classes
            if len(wrong := np.flatnonzero((labels < -1) | (labels >= classes))):
                raise UserError(
                    f"{file_of(wrong[0])}: record {wrong[0]} has the {name} {labels[wrong[0]]}, and there are {classes} "
                    "classes; remove the data set and prepare it again"
                )


def scan(records: ArrayRecordDataSource) -> pyarrow.Table:
    """Reads all records to make the table."""
    features, info = records.dataset_info.features, records.dataset_info.splits[records.split]
    schema = table_schema(features)
    columns = {name: [] for name in schema.names if name not in ("record", SUPERCLASS)}
    with tqdm(total=len(records), desc="reading metadata", unit=" records", disable=None) as progress:
        for start in range(0, len(records), SCAN_BATCH):
            batch = read_records(records, range(start, min(start + SCAN_BATCH, len(records))))
            for name, values in columns.items():
                values.extend(as_text(record[name]) for record in batch)
            progress.update(len(batch))
    for name, values in columns.items():
        if all(value is None for value in values):
            raise cannot_be_read(info.filepaths[0].parent / "features.json", f"no record has its feature {name!r}")
    columns["record"] = np.arange(len(records))
    check_labels(columns, features, lambda record: shard_of(info, record))
    if SUPERCLASS in schema.names:
        names = np.array([*map(clean_name, features["coarse_label"].names), ""])  # the last is of the label -1
        columns[SUPERCLASS] = names[columns["coarse_label"]].tolist()
    return pyarrow.table(columns, schema)


def read_records(records: ArrayRecordDataSource, indices: Sequence[int]) -> list[dict]:
    try:
        return records.__getitems__(list(indices))
    except RuntimeError as error:
        damaged = next((index for index in indices if read_record(records, index) is None), None)
        if damaged is None:
            raise
        shard = shard_of(records.dataset_info.splits[records.split], damaged)
        raise UserError(f"{shard} is damaged at record {damaged}; remove the data set and prepare it again") from error


def as_text(value: object) -> object:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def table_schema(features: tfds.features.FeaturesDict) -> pyarrow.Schema:
    """The columns of the table: the record's index, every scalar feature by name, and the name of a 'coarse_label'."""
    kinds = {name: arrow_type(feature) for name, feature in sorted(features.items()) if feature.shape == ()}
    superclass = {SUPERCLASS: pyarrow.string()} if "coarse_label" in kinds else {}
    return pyarrow.schema({"record": pyarrow.int64()} | kinds | superclass)


def save_table(table: pyarrow.Table, path: pathlib.Path) -> None:
    """Saves the table, unless the folder is read-only or in a bucket."""
    if is_remote(path) or not os.access(path.parent, os.W_OK):
        return
    if os.stat(path.parent).st_mode & 0o222:  # where root could write, but should not, no bit is set
        with replacing(path) as partial:
            pyarrow.parquet.write_table(table, partial, write_page_checksum=True)


class TableWriter:
    """Writes the metadata table of a split whose records come one at a time, in the memory of a batch."""

    def __init__(self, path: pathlib.Path, features: tfds.features.FeaturesDict):
        self.schema, self.features = table_schema(features), features
        self.rows, self.count = [], 0
        # Without the Arrow schema in the file, readers take the metadata that `finish` adds for the schema's.
        self.table = pyarrow.parquet.ParquetWriter(path, self.schema, store_schema=False, write_page_checksum=True)

    def add(self, example: Mapping) -> None:
        """Adds a record's fields other than the image."""
        self.rows.append({name: example[name] for name in self.schema.names[1:]} | {"record": self.count})
        self.count += 1
        if len(self.rows) == WRITE_BATCH:
            self.flush()

    def flush(self) -> None:
        self.table.write_batch(pyarrow.RecordBatch.from_pylist(self.rows, self.schema))
        self.rows = []

    def finish(self, shards: str, skipped: Mapping[str, int]) -> None:
        """Completes the table, for the shards with this fingerprint."""
        self.flush()
        self.table.add_key_value_metadata(origin(shards, self.features, skipped))
        self.table.close()


def arrow_type(feature: tfds.features.FeatureConnector) -> pyarrow.DataType:
    dtype = np.dtype(feature.np_dtype)
    return pyarrow.string() if dtype.kind in "OSU" else pyarrow.from_numpy_dtype(dtype)
