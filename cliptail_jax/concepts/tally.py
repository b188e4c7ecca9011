"""The result of counting a batch, a part or a corpus: the number of captions with each name."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from cliptail_jax.concepts.batches import CaptionBatch, Captions, batches_of
from cliptail_jax.concepts.frequency_tables import LARGEST_SUM
from cliptail_jax.errors import UserError

COUNTS = pa.schema([("name", pa.string()), ("count", pa.int64())])


@dataclasses.dataclass(frozen=True)
class Tally:
    """Counts of captions.

    Attributes:
        counts: each name that occurs, and the number of captions in which it does, or the sum of their weights.
        captions: the number of captions.
        undecodable: how many of them have bytes that are not UTF-8.
        one, several: how many of them have one name of a vocabulary, and several.
    """

    counts: pa.Table
    captions: int
    undecodable: int
    one: int = 0
    several: int = 0


@runtime_checkable
class Counter(Protocol):
    """An object that counts batches. It pickles."""

    def tally(self, batch: CaptionBatch) -> Tally: ...


NOTHING = Tally(COUNTS.empty_table(), 0, 0)


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies. Raises UserError if counts may be too large to be added."""
    tallies = [NOTHING, *tallies]
    if sum(pc.max(tally.counts["count"]).as_py() or 0 for tally in tallies) > LARGEST_SUM:
        raise UserError(
            f"the largest counts of the files add up to more than {LARGEST_SUM}, the most that is allowed: count them apart"
        )
    counts = pa.concat_tables([tally.counts for tally in tallies]).group_by("name").aggregate([("count", "sum")])
    return Tally(
        pa.table([counts["name"], counts["count_sum"]], schema=COUNTS),
        *(sum(getattr(tally, name) for tally in tallies) for name in ("captions", "undecodable", "one", "several")),
    )


class RunningTotal:
    """Sums tallies incrementally: waiting tallies are added up when they become larger than their sum."""

    def __init__(self):
        self._tallies = [NOTHING]

    def add(self, tally: Tally) -> None:
        self._tallies.append(tally)
        waiting = sum(tally.counts.num_rows for tally in self._tallies[1:])
        if waiting > max(100_000, self._tallies[0].counts.num_rows):
            self._tallies = [total(self._tallies)]

    def total(self) -> Tally:
        return total(self._tallies)


def count_chunks(counter: Counter, chunks: Iterable[Captions]) -> Tally:
    """Counts captions that come in chunks."""
    running = RunningTotal()
    for chunk in chunks:
        for batch in batches_of(chunk):
            running.add(counter.tally(batch))
    return running.total()


def in_order(counts: pa.Table, names: Sequence[str]) -> pa.Table:
    """The counts of all names in their order, 0 for those that do not occur."""
    found = dict(zip(*(column.to_pylist() for column in counts.columns)))
    return pa.table([names, [found.get(name, 0) for name in names]], schema=COUNTS)


def naming_note(one: int, several: int, captions: int, classes: int) -> str:
    """How many of some captions name one, several and none of a number of classes."""
    return (
        f"{one:,} of {captions:,} captions name one of {classes:,} classes, {several:,} several, "
        f"{captions - one - several:,} none"
    )


def sums_by(
    groups: Int[np.ndarray, " item"], num_groups: int, weights: Int[np.ndarray, " item"] | None
) -> Int[np.ndarray, " group"]:
    """The number of items in each group, or the exact sum of their weights."""
    if weights is None:
        return np.bincount(groups, minlength=num_groups)
    sums = np.zeros(num_groups, np.int64)
    np.add.at(sums, groups, weights)
    return sums
