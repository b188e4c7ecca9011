"""Counts all files of a corpus, each once, even if counting is interrupted and started again."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tqdm import tqdm

from cliptail_jax.concepts.batches import CaptionBatch
from cliptail_jax.concepts.captions import check_part, read_part
from cliptail_jax.concepts.finished import FinishedParts
from cliptail_jax.concepts.readers import DamagedFileError
from cliptail_jax.concepts.tally import RunningTotal, Tally
from cliptail_jax.concepts.workers import Counter, tallies

BYTES_PER_PROCESS = 1 << 24  # starting a process takes longer than counting less than this


class Place(NamedTuple):
    """Where the corpus is being read: the part, how many more of its bytes have been read, and what stops it, if so."""

    part: str
    new_bytes: int
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

    all_bytes = sum(map(os.path.getsize, missing))
    processes = min(processes, 1 + all_bytes // BYTES_PER_PROCESS)
    counted, captions = tallies(counter, read_parts(missing, column, card), processes), 0
    with contextlib.closing(counted), tqdm(total=all_bytes, unit="B", unit_scale=True, disable=None) as progress:
        for place, tally in counted:
            progress.update(place.new_bytes)
            if tally is not None:
                part_total.add(tally)
                captions += tally.captions
                progress.set_postfix_str(f"{captions:,} captions")
                continue
            if place.error:
                damaged.append(place.error)
            else:
                finished.save(place.part, part_total.total())
                corpus.add(part_total.total())
            part_total = RunningTotal()
    return corpus.total(), damaged


def read_parts(parts: Iterable[str], column: str | None, card: bool) -> Iterator[tuple[Place, CaptionBatch | None]]:
    """The batches of all parts; None at the end of each part."""
    for part in parts:
        before, error = 0, None
        try:
            for batch, bytes_read in read_part(part, column, card):
                yield Place(part, bytes_read - before), batch
                before = bytes_read
        except DamagedFileError as damage:
            error = damage
        yield Place(part, 0, error), None
