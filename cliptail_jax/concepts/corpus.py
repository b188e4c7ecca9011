"""Counts all files of a corpus, each once, even if counting is interrupted and started again."""

import contextlib
import functools
import os
from collections.abc import Sequence

from tqdm import tqdm

from cliptail_jax.concepts.captions import Open, check_part, open_local, read_part
from cliptail_jax.concepts.finished import FinishedParts
from cliptail_jax.concepts.readers import DamagedFileError
from cliptail_jax.concepts.tally import Counter, RunningTotal, Tally
from cliptail_jax.concepts.workers import completed

BYTES_PER_PROCESS = 1 << 24  # starting a process takes longer than counting less than this


def count_corpus(
    counter: Counter,
    parts: Sequence[str],
    finished: FinishedParts,
    column: str | None = None,
    card: bool = False,
    processes: int = 1,
) -> tuple[Tally, list[DamagedFileError]]:
    """Counts the unfinished parts, one per process at a time, and adds up all parts.

    Args:
        column, card: as in `read_part`.
        processes: the maximum number of counting processes; a small corpus uses fewer.

    Returns:
        The tally of all parts that could be read, and the errors of the others.

    Raises:
        UserError: A part lacks the column, or a process was killed.
    """
    corpus, missing, errors = RunningTotal(), [], {}
    for part in parts:
        if (tally := finished.load(part)) is None:
            missing.append(part)
        else:
            corpus.add(tally)
    if not card:
        for part in missing:
            with contextlib.suppress(DamagedFileError):  # it is reported with the others
                check_part(part, column)

    all_bytes, captions = sum(map(os.path.getsize, missing)), 0
    processes = max(min(processes, len(missing), 1 + all_bytes // BYTES_PER_PROCESS), 1)
    work = functools.partial(try_to_count, counter=counter, column=column, card=card)
    progress = tqdm(total=all_bytes, unit="B", unit_scale=True, disable=None)
    with contextlib.closing(completed(work, missing, processes)) as counted, progress:
        for part, tally in counted:
            progress.update(os.path.getsize(part))
            if isinstance(tally, DamagedFileError):
                errors[part] = tally
                continue
            finished.save(part, tally)
            corpus.add(tally)
            captions += tally.captions
            progress.set_postfix_str(f"{captions:,} captions")
    return corpus.total(), [errors[part] for part in missing if part in errors]


def try_to_count(part: str, counter: Counter, column: str | None, card: bool) -> Tally | DamagedFileError:
    """Counts a part; returns the error if the part cannot be read to its end."""
    try:
        return count_part(part, counter, column, card)
    except DamagedFileError as error:
        return error


def count_part(
    part: str, counter: Counter, column: str | None = None, card: bool = False, open_file: Open = open_local
) -> Tally:
    """Counts a part. Raises UserError and DamagedFileError as `read_part` does."""
    total = RunningTotal()
    for batch in read_part(part, column, card, open_file):
        total.add(counter.tally(batch))
    return total.total()
