"""The fields of a split's records other than the image, as a table that is scanned once and kept beside the shards."""

import errno
import os
import pathlib

import numpy as np
import pyarrow
import pyarrow.parquet
import tensorflow_datasets as tfds
from tensorflow_datasets.core.data_sources.array_record import ArrayRecordDataSource
from tqdm import tqdm

SCAN_BATCH = 1000
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


def clean_name(name: str) -> str:
    """A label's name as words: 'pickup_truck' becomes 'pickup truck'."""
    return " ".join(name.replace("_", " ").split())


def open_records(folder: pathlib.Path, split: str) -> ArrayRecordDataSource:
    """The split's records, their images still encoded."""
    builder = tfds.builder_from_directory(folder)
    return builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})


def load_metadata(folder: pathlib.Path, split: str) -> pyarrow.Table:
    """A row a record, in record order, with every scalar number and text, and 'superclass' where there is 'coarse_label'.

    It is read from `metadata-SPLIT.parquet` beside the shards, or else scanned from the records and saved there; in a
    read-only folder it isn't saved.
    """
    path = folder / f"metadata-{split}.parquet"
    records = open_records(folder, split)
    table = read_table(path)
    if table is None or table.num_rows != len(records):
        table = scan(records)
        save_table(table, path)
    return table


def read_table(path: pathlib.Path) -> pyarrow.Table | None:
    try:
        return pyarrow.parquet.read_table(path)
    except (FileNotFoundError, pyarrow.ArrowInvalid):
        return None


def scan(records: ArrayRecordDataSource) -> pyarrow.Table:
    features = records.dataset_info.features
    columns = {name: [] for name, feature in features.items() if name != "image" and feature.shape == ()}
    with tqdm(total=len(records), desc="reading metadata", unit=" records", disable=None) as progress:
        for start in range(0, len(records), SCAN_BATCH):
            batch = records.__getitems__(list(range(start, min(start + SCAN_BATCH, len(records)))))
            for name, values in columns.items():
                values.extend(record[name] for record in batch)
            progress.update(len(batch))
    arrays = {name: column_array(values) for name, values in columns.items()}
    if "coarse_label" in arrays:
        names = [clean_name(name) for name in features["coarse_label"].names]
        arrays["superclass"] = pyarrow.array([names[label] for label in columns["coarse_label"]])
    return pyarrow.table(arrays)


def column_array(values: list) -> pyarrow.Array:
    if values and isinstance(values[0], bytes):
        return pyarrow.array([value.decode(errors="replace") for value in values])
    return pyarrow.array(np.asarray(values))


def save_table(table: pyarrow.Table, path: pathlib.Path) -> None:
    """Writes the table so that the path never holds half of it; does nothing in a read-only folder."""
    if not path.parent.stat().st_mode & 0o222:  # root could write there, and is not meant to
        return
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    try:
        pyarrow.parquet.write_table(table, unfinished)
        os.replace(unfinished, path)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
    finally:
        unfinished.unlink(missing_ok=True)
