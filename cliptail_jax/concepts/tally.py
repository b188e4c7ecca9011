"""The result of counting a batch, a part or a corpus: the number of captions with each name."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol

import pyarrow as pa

from cliptail_jax.formats.batches import CaptionColumn, batches_of

COUNTS = pa.schema([("name", pa.string()), ("count", pa.int64())])


@dataclasses.dataclass(frozen=True)
class Tally:
    """Counts of captions.

    Attributes:
        counts: each name that occurs, and the number of captions in which it does.
        captions: the number of captions.
        undecodable: how many of them have bytes that are not UTF-8.
        single_matches, multiple_matches: how many of them have one name of a class list, and several.
    """

    counts: pa.Table
    captions: int
    undecodable: int
    single_matches: int = 0
    multiple_matches: int = 0


class Counter(Protocol):
    """An object that counts batches. It pickles."""

    def tally(self, batch: pa.LargeBinaryArray) -> Tally: ...


EMPTY = Tally(pa.Table.from_batches([], COUNTS), 0, 0)  # `empty_table` imports pandas


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies. Tallies are added to the sum so far when they are together larger than it."""
    summands = [EMPTY]
    for tally in tallies:
        summands.append(tally)
        rows = [tally.counts.num_rows for tally in summands]
        if sum(rows[1:]) > max(100_000, rows[0]):
            summands = [_sum(summands)]
    return _sum(summands)


def _sum(tallies: Sequence[Tally]) -> Tally:
    counts = pa.concat_tables([tally.counts for tally in tallies]).group_by("name").aggregate([("count", "sum")])
    return Tally(
        pa.table([counts["name"], counts["count_sum"]], schema=COUNTS),
        *(
            sum(getattr(tally, name) for tally in tallies)
            for name in ("captions", "undecodable", "single_matches", "multiple_matches")
        ),
    )


def count_chunks(counter: Counter, chunks: Iterable[CaptionColumn]) -> Tally:
    """Counts captions that come in chunks."""
    return total(counter.tally(batch) for chunk in chunks for batch in batches_of(chunk))


def in_order(counts: pa.Table, names: Sequence[str]) -> pa.Table:
    """The counts of all names in their order, 0 for those that do not occur."""
    count_of = dict(zip(*(column.to_pylist() for column in counts.columns)))
    return pa.table([names, [count_of.get(name, 0) for name in names]], schema=COUNTS)


def naming_note(one_class: int, several_classes: int, captions: int, classes: int) -> str:
    """States how many captions name one, several and none of a number of classes."""
    return (
        f"{one_class:,} of {captions:,} captions name one of {classes:,} classes, {several_classes:,} several, "
        f"{captions - one_class - several_classes:,} none"
    )
