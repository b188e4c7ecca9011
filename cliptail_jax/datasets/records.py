"""The records of a split, and their files."""

import pathlib
import re
from collections.abc import Sequence

import numpy as np
import tensorflow_datasets as tfds
from tensorflow_datasets.core.data_sources.array_record import ArrayRecordDataSource

from cliptail_jax.host.errors import UserError

DAMAGED_CHUNK = re.compile("Corrupted (?!.*Failed to read RiegeliPostscript)")  # with it, no record can be read


def read_record(records: ArrayRecordDataSource, index: int) -> dict | None:
    """Reads a record; None if its chunk is damaged. Raises UserError if its shard cannot be read at all."""
    try:
        return records[index]
    except RuntimeError as error:  # ArrayRecord raises no other
        if DAMAGED_CHUNK.match(str(error)):
            return None
        shard = shard_of(records.dataset_info.splits[records.split], index)
        raise UserError(f"{shard} cannot be read: {error}; remove the data set and prepare it again") from error


def read_records(records: ArrayRecordDataSource, indices: Sequence[int]) -> list[dict]:
    try:
        return records.__getitems__(list(indices))
    except RuntimeError as error:
        damaged_record = next((index for index in indices if read_record(records, index) is None), None)
        if damaged_record is None:
            raise
        shard = shard_of(records.dataset_info.splits[records.split], damaged_record)
        raise UserError(
            f"{shard} is damaged at record {damaged_record}; remove the data set and prepare it again"
        ) from error


def shard_of(info: tfds.core.SplitInfo, record: int | np.integer) -> pathlib.Path:
    """The file that contains a record of a split."""
    return info.filepaths[int(np.searchsorted(np.cumsum(info.shard_lengths), record, side="right"))]
