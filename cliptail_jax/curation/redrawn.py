"""Images that each epoch draws anew, so that a class is seen as often as its rows, but on other images each time."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from cliptail_jax.input.composition import class_by_class


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
        uses = np.bincount(labels, minlength=self.labels.max() + 1)
        places = np.concatenate(class_by_class(self.labels, uses, np.random.default_rng([self.seed, epoch])))
        records = np.empty(len(labels), np.int64)
        records[np.argsort(labels, kind="stable")] = self.records[places]
        return records
