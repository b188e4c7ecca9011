"""Counts all files of a corpus, each once, even if counting is interrupted and started again."""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tqdm import tqdm

from cliptail_jax.concepts.batches import Batch
from cliptail_jax.concepts.captions import check_part, read_part
from cliptail_jax.concepts.finished import FinishedParts
from cliptail_jax.concepts.readers import DamagedFileError
from cliptail_jax.concepts.tally import RunningTotal, Tally
from cliptail_jax.concepts.workers import Counter, tallies

BYTES_PER_PROCESS = 1 << 24  # starting a process takes longer than counting less than this


class Place(NamedTuple):
    """How far the corpus has been read: a part, the number of its bytes, and why it cannot be read further, if so."""

    part: str
    bytes_read: int
    error: DamagedFileError | None = None


def count_corpus(
    counter: Counter,
    parts: Sequence[str],
    finished: FinishedParts,
    column: str | None = None,
    card: bool = False,
    processes: int = 1,
) -> tuple[Tally, list[DamagedFileError]]:
    """Counts the parts that are not finished, and sums all.

    Args:
        column, card: as in `read_part`.
        processes: the maximum number of counting processes; a small corpus uses fewer.

    Returns:
        The tally of all parts that could be read, and the errors of the others.

    Raises:
        UserError: A part lacks the column, or a process was killed.
    """
    corpus, part_total, damaged = RunningTotal(), RunningTotal(), []
    missing = []
    for part in parts:
        if (tally := finished.load(part)) is None:
            missing.append(part)
        else:
            corpus.add(tally)
    if not card:
        for part in missing:
            with contextlib.suppress(DamagedFileError):  # it will be read as far as possible
                check_part(part, column)

    sizes = {part: os.path.getsize(part) for part in missing}
    processes = min(processes, 1 + sum(sizes.values()) // BYTES_PER_PROCESS)
    counted = tallies(counter, read_parts(missing, column, card), processes)
    with contextlib.closing(counted), contextlib.closing(Progress(sizes)) as progress:
        for place, tally in counted:
            if tally is not None:
                part_total.add(tally)
                progress.show(place, tally)
                continue
            if place.error:
                damaged.append(place.error)
            else:
                finished.save(place.part, part_total.total())
                corpus.add(part_total.total())
            part_total = RunningTotal()
    return corpus.total(), damaged


def read_parts(parts: Iterable[str], column: str | None, card: bool) -> Iterator[tuple[Place, Batch | None]]:
    """The batches of all parts; None at the end of each part."""
    for part in parts:
        try:
            for batch, bytes_read in read_part(part, column, card):
                yield Place(part, bytes_read), batch
            error = None
        except DamagedFileError as damage:
            error = damage
        yield Place(part, 0, error), None


class Progress:
    """A bar with captions/s and the time left, which is estimated from the share of the bytes that have been read."""

    def __init__(self, sizes: dict[str, int]):
        self._bytes_before = dict(zip(sizes, itertools.accumulate(sizes.values(), initial=0)))
        self._all_bytes = sum(sizes.values())
        self._bar = tqdm(unit=" captions", unit_scale=True, disable=None)

    def show(self, place: Place, tally: Tally) -> None:
        read = self._bytes_before[place.part] + place.bytes_read
        self._bar.total = round((self._bar.n + tally.captions) * self._all_bytes / max(read, 1))
        self._bar.update(tally.captions)

    def close(self) -> None:
        self._bar.close()
