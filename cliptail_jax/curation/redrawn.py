"""Images that each epoch draws anew, so that a class is seen as often as its rows, but on other images each time."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Pool(NamedTuple):
    """The records from which epochs draw.

    Attributes:
        labels: the class of each record.
    """

    records: Int[np.ndarray, " pool"]
    labels: Int[np.ndarray, " pool"]
    seed: int

    def draw(self, labels: Int[np.ndarray, " row"], epoch: int) -> Int[np.ndarray, " row"]:
        """For each row, a record of its class; within an epoch, no record twice. `labels` are the classes of the rows.

        A class has at least as many records in the pool as rows.
        """
        rng, records = np.random.default_rng([self.seed, epoch]), np.empty(len(labels), np.int64)
        by_class = _by_class(self.labels)
        for label, rows in _by_class(labels).items():
            records[rows] = rng.choice(self.records[by_class[label]], len(rows), replace=False)
        return records


def _by_class(labels: Int[np.ndarray, " row"]) -> dict[int, Int[np.ndarray, " _"]]:
    """The places of each class."""
    classes, first = np.unique(np.sort(labels), return_index=True)
    return dict(zip(classes.tolist(), np.split(np.argsort(labels, kind="stable"), first[1:])))


class RecordsByEpoch:
    """The records of rows by epoch. It keeps those of the last two epochs, which batches that are loaded ahead need."""

    def __init__(self, pool: Pool, labels: Int[np.ndarray, " row"]):
        self.pool, self.labels = pool, labels
        self._last: dict[int, Int[np.ndarray, " row"]] = {}

    def __call__(self, epoch: int) -> Int[np.ndarray, " row"]:
        if epoch not in self._last:
            previous_epoch = {e: records for e, records in self._last.items() if e == epoch - 1}
            self._last = previous_epoch | {epoch: self.pool.draw(self.labels, epoch)}
        return self._last[epoch]
