"""The scalar fields of a split's records, from the table beside its shards or, once, from its records."""

import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pyarrow
import tensorflow_datasets as tfds
from tensorflow_datasets.core.data_sources.array_record import ArrayRecordDataSource
from tqdm import tqdm

from cliptail_jax.datasets.folder import cannot_be_read
from cliptail_jax.datasets.metadata_table import (
    SUPERCLASS,
    DamagedTableError,
    class_labels,
    disagreement,
    fingerprint,
    names_digest,
    origin,
    read_table,
    save_table,
    table_schema,
)
from cliptail_jax.datasets.records import read_records, shard_of
from cliptail_jax.datasets.superclasses import KIND_OF, PHRASES, kind_of
from cliptail_jax.formats.class_names import composed
from cliptail_jax.formats.prepared import table_path
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.printing import one_line

SCAN_BATCH = 1000


def clean_name(name: str) -> str:
    """A label's name with spaces, composed: 'pickup_truck' becomes 'pickup truck'."""
    return " ".join(composed(name).replace("_", " ").split())


def load_metadata(folder: pathlib.Path, records: ArrayRecordDataSource) -> pyarrow.Table:
    """The scalar numbers and texts of a split's records, in their order, and 'superclass', the name of a 'coarse_label'.

    'label' is -1 in a set without labels. With CIFAR-100's superclasses, 'kind_of' is derived from 'superclass', as
    people write it. The table is beside the shards. If it is missing or damaged, it is made again from the records and
    saved, unless the folder is read-only.

    Raises:
        UserError: The table belongs to other shards or other class names, a label is not that of a class, or a file cannot
            be read.
    """
    info, features = records.dataset_info.splits[records.split], records.dataset_info.features
    shards = fingerprint(info.filepaths, info.shard_lengths)
    path = table_path(folder, records.split)
    try:
        table = read_table(path, features) if path.exists() else None
    except DamagedTableError as damage:
        print(one_line(f"note: {path} {damage}; it is made again from the shards"), file=sys.stderr)
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
            f"you changed them, remove the tables metadata-*.parquet beside them"
        )
    check_labels(dict(zip(table.column_names, table.columns)), features, lambda record: path, "remove it")
    if "label" not in table.column_names:
        table = table.append_column("label", pyarrow.array(np.full(len(table), -1)))
    if SUPERCLASS in table.column_names and has_written_superclasses(features):
        phrases = map(kind_of, table[SUPERCLASS].to_pylist())
        table = table.append_column(KIND_OF, pyarrow.array(phrases, pyarrow.string()))
    return table.drop_columns("record")


def has_written_superclasses(features: tfds.features.FeaturesDict) -> bool:
    """Whether the coarse labels are those of CIFAR-100."""
    coarse = class_labels(features).get("coarse_label")
    return coarse is not None and set(map(clean_name, coarse.names)) <= PHRASES.keys()


def check_labels(
    columns: Mapping[str, Sequence | np.ndarray | pyarrow.ChunkedArray],
    features: tfds.features.FeaturesDict,
    file_of: Callable[[int], pathlib.Path],
    remedy: str,
) -> None:
    """Raises UserError if a label is neither that of a class nor -1 (no class); `file_of` gives a record's file."""
    for name, label in class_labels(features).items():
        labels, classes = np.asarray(columns[name], float), label.num_classes  # nan for a missing label
        if len(wrong_records := np.flatnonzero(~((labels >= -1) & (labels < classes)))):
            record = int(wrong_records[0])
            raise UserError(
                f"{file_of(record)}: record {record} has the {name} {columns[name][record]}, and there are {classes} "
                f"classes; {remedy}"
            )


def scan(records: ArrayRecordDataSource) -> pyarrow.Table:
    """Reads all records to make the table."""
    features, info = records.dataset_info.features, records.dataset_info.splits[records.split]
    schema = table_schema(features)
    columns = {name: [] for name in schema.names if name in features}
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
    check_labels(columns, features, lambda record: shard_of(info, record), "remove the data set and prepare it again")
    if coarse := class_labels(features).get("coarse_label"):
        names = np.array([*map(clean_name, coarse.names), ""])  # the last is that of the label -1
        columns[SUPERCLASS] = names[columns["coarse_label"]].tolist()
    return pyarrow.table(columns, schema)


def as_text(value: object) -> object:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
