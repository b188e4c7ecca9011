"""The scalar fields of a split's records, as a table beside the shards.

The file `metadata-SPLIT.parquet` has a row per record, in record order; its column `record` is the row's index. In its
schema's metadata, `shards` is a fingerprint of the shards it belongs to, and `skipped` (JSON) is the number of records
that the builder skipped, by reason.
"""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow
import pyarrow.parquet
import tensorflow_datasets as tfds
from tensorflow_datasets.core.data_sources.array_record import ArrayRecordDataSource
from tqdm import tqdm

from cliptail_jax.errors import UserError
from cliptail_jax.files import digest_of, file_size, is_remote, readable, replacing

SCAN_BATCH = 1000
WRITE_BATCH = 1 << 16


def clean_name(name: str) -> str:
    """A label's name with spaces: 'pickup_truck' becomes 'pickup truck'."""
    return " ".join(name.replace("_", " ").split())


def open_records(folder: pathlib.Path, split: str) -> ArrayRecordDataSource:
    """The split's records, their images still encoded."""
    builder = tfds.builder_from_directory(folder)
    return builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})


def table_path(folder: pathlib.Path, split: str) -> pathlib.Path:
    return folder / f"metadata-{split}.parquet"


def load_metadata(folder: pathlib.Path, split: str, columns: Sequence[str] | None = None) -> pyarrow.Table:
    """The scalar numbers and texts of each record, in record order, and 'superclass', the name of a 'coarse_label'.

    'label' is -1 in a set without labels. The table is read from beside the shards. If it is missing, or does not say
    which shards it belongs to, it is scanned from the records and saved there, unless the folder is read-only.

    Args:
        columns: the columns to read, in this order; all by default.

    Raises:
        UserError: The table beside the shards belongs to others.
    """
    records = open_records(folder, split)
    info = records.dataset_info.splits[split]
    shards = fingerprint(info.filepaths, info.shard_lengths)
    path = table_path(folder, split)
    if b"shards" in read_origin(path):
        # Pre-buffering takes half as much memory again, and is slower on a disk.
        wanted = None if columns is None else ["record", *columns]
        table = pyarrow.parquet.ParquetFile(readable(path), pre_buffer=False).read(wanted)
        if fault := disagreement(table, shards, len(records)):
            raise UserError(f"metadata table {path} disagrees with the shards beside it: {fault}; remove it")
    else:
        table = scan(records).replace_schema_metadata({"shards": shards})
        save_table(table, path)
    if "label" not in table.column_names and (columns is None or "label" in columns):
        table = table.append_column("label", pyarrow.array(np.full(len(table), -1)))
    return table.drop_columns("record") if columns is None else table.select(list(columns))


def fingerprint(shards: Sequence[os.PathLike], counts: Sequence[int]) -> str:
    """The SHA-256 of the shards' names, sizes and numbers of records."""
    lines = (f"{os.path.basename(shard)} {file_size(shard)} {count}\n" for shard, count in zip(shards, counts))
    return digest_of(line.encode() for line in lines)


def read_origin(path: pathlib.Path) -> dict[bytes, bytes]:
    """The schema's metadata of the table in a file; {} where there is no table or an incomplete one."""
    try:
        return pyarrow.parquet.read_schema(readable(path)).metadata or {}
    except (FileNotFoundError, pyarrow.ArrowInvalid):
        return {}


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
    table = read_origin(table_path(folder, split))
    return json.loads(table.get(b"skipped", "{}"))


def scan(records: ArrayRecordDataSource) -> pyarrow.Table:
    """Reads all records to make the table."""
    features = records.dataset_info.features
    schema = table_schema(features)
    columns = {name: [] for name in schema.names[1:]}
    with tqdm(total=len(records), desc="reading metadata", unit=" records", disable=None) as progress:
        for start in range(0, len(records), SCAN_BATCH):
            batch = records.__getitems__(list(range(start, min(start + SCAN_BATCH, len(records)))))
            for name, values in columns.items():
                values.extend(as_text(record[name]) for record in batch)
            progress.update(len(batch))
    table = pyarrow.table({"record": np.arange(len(records)), **columns}, schema)
    if "coarse_label" in columns:
        names = [clean_name(name) for name in features["coarse_label"].names]
        table = table.append_column("superclass", pyarrow.array([names[label] for label in columns["coarse_label"]]))
    return table


def as_text(value: object) -> object:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def table_schema(features: tfds.features.FeaturesDict) -> pyarrow.Schema:
    """The columns of the table: the record's index, and every scalar feature by name."""
    kinds = {name: arrow_type(feature) for name, feature in sorted(features.items()) if feature.shape == ()}
    return pyarrow.schema({"record": pyarrow.int64()} | kinds)


def save_table(table: pyarrow.Table, path: pathlib.Path) -> None:
    """Saves the table, unless the folder is read-only or in a bucket."""
    if is_remote(path) or not os.access(path.parent, os.W_OK):
        return
    if os.stat(path.parent).st_mode & 0o222:  # where root could write, but should not, no bit is set
        with replacing(path) as partial:
            pyarrow.parquet.write_table(table, partial)


class TableWriter:
    """Writes the metadata table of a split whose records come one at a time, in the memory of a batch."""

    def __init__(self, path: pathlib.Path, features: tfds.features.FeaturesDict):
        self.schema = table_schema(features)
        self.rows, self.count = [], 0
        # Without the Arrow schema in the file, readers take the metadata that `finish` adds for the schema's.
        self.table = pyarrow.parquet.ParquetWriter(path, self.schema, store_schema=False)

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
        self.table.add_key_value_metadata({"shards": shards, "skipped": json.dumps(dict(skipped))})
        self.table.close()


def arrow_type(feature: tfds.features.FeatureConnector) -> pyarrow.DataType:
    dtype = np.dtype(feature.np_dtype)
    return pyarrow.string() if dtype.kind in "OSU" else pyarrow.from_numpy_dtype(dtype)
