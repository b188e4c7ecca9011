"""Counts batches as they are read: in this process, or in several."""

import collections
import concurrent.futures
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeVar

from cliptail_jax.concepts.batches import Batch, packed, unpacked
from cliptail_jax.concepts.tally import Tally
from cliptail_jax.errors import UserError

Tag = TypeVar("Tag")


class Counter(Protocol):
    """What counts a batch. It pickles."""

    def tally(self, batch: Batch) -> Tally: ...


def tallies(
    counter: Counter, batches: Iterable[tuple[Tag, Batch | None]], processes: int
) -> Iterator[tuple[Tag, Tally | None]]:
    """The tally of each batch, in order and with its tag; where there is a tag without a batch, without a tally.

    This process reads; if there are to be several others, they count, and at most two batches for each are read ahead.

    Raises:
        UserError: one of the others was killed.
    """
    if processes == 1:
        for tag, batch in batches:
            yield tag, None if batch is None else counter.tally(batch)
        return
    waiting = collections.deque()
    with pool(counter, processes) as workers:
        for tag, batch in batches:
            waiting.append((tag, None if batch is None else workers.submit(work, packed(batch))))
            while waiting and (len(waiting) > 2 * processes or is_done(waiting[0][1])):
                yield result(*waiting.popleft())
        while waiting:
            yield result(*waiting.popleft())


Future = concurrent.futures.Future | None  # of a tally; None for a tag without a batch


def is_done(future: Future) -> bool:
    return future is None or future.done()


def result(tag: Tag, future: Future) -> tuple[Tag, Tally | None]:
    return tag, None if future is None else future.result()


@contextlib.contextmanager
def pool(counter: Counter, processes: int) -> Iterator[concurrent.futures.Executor]:
    context = multiprocessing.get_context("spawn")  # a fork would copy Arrow's threads in whatever state they are
    workers = concurrent.futures.ProcessPoolExecutor(processes, context, start_worker, (counter,))
    try:
        yield workers
    except BrokenProcessPool as error:
        raise UserError(
            "a counting process was killed, perhaps for want of memory: run again, with less --processes"
        ) from error
    finally:
        workers.shutdown(cancel_futures=True)


def start_worker(counter: Counter) -> None:
    global the_counter
    the_counter = counter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes: the parent ends the others
    threading.Thread(target=end_with_parent, daemon=True).start()


def end_with_parent() -> None:
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def work(batch: bytes) -> Tally:
    return the_counter.tally(unpacked(batch))
