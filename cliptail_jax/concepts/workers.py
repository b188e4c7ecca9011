"""Counts batches as they are read, in this process or in several others."""

import collections
import concurrent.futures
import contextlib
import ctypes
import multiprocessing
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol, TypeVar, runtime_checkable

import pyarrow as pa

from cliptail_jax.concepts.batches import MAX_BYTES, MAX_CAPTIONS, CaptionBatch, read_batch, size_of, write_batch
from cliptail_jax.concepts.tally import Tally
from cliptail_jax.errors import UserError
from cliptail_jax.interrupts import end_with_parent

Tag = TypeVar("Tag")
Memory = ctypes.Array[ctypes.c_char]

SLOT_BYTES = MAX_BYTES + 16 * MAX_CAPTIONS + (1 << 16)  # text, offsets and weights, metadata


@runtime_checkable
class Counter(Protocol):
    """Counts a batch. It pickles."""

    def tally(self, batch: CaptionBatch) -> Tally: ...


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def tallies(
    counter: Counter, batches: Iterable[tuple[Tag, CaptionBatch | None]], processes: int
) -> Iterator[tuple[Tag, Tally | None]]:
    """The tally of each batch, in order and with its tag; None for a tag without a batch.

    This process reads. With `processes` > 1, so many others count, and at most two batches for each are in flight, in
    shared memory: sending a batch through a pipe would cost a third of counting it.

    Raises:
        UserError: A counting process was killed.
    """
    if processes == 1:
        for tag, batch in batches:
            yield tag, None if batch is None else counter.tally(batch)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy Arrow's threads in an undefined state
    slots = [context.RawArray(ctypes.c_char, SLOT_BYTES) for _ in range(2 * processes)]
    free, waiting = list(range(len(slots))), collections.deque()

    def next_tally() -> tuple[Tag, Tally | None]:
        tag, tally, slot = waiting.popleft()
        result = tag, tally.result()
        free.extend(slot)
        return result

    with pool(counter, slots, processes, context) as workers:
        for tag, batch in batches:
            if batch is None:
                waiting.append((tag, done(None), ()))
            elif size_of(batch) > SLOT_BYTES:
                waiting.append((tag, done(counter.tally(batch)), ()))
            else:
                slot = free.pop()
                write_batch(batch, pa.FixedSizeBufferWriter(pa.py_buffer(slots[slot])))
                waiting.append((tag, workers.submit(work, slot), (slot,)))
            while waiting and (not free or waiting[0][1].done()):
                yield next_tally()
        while waiting:
            yield next_tally()


def done(result: Tally | None) -> concurrent.futures.Future:
    future = concurrent.futures.Future()
    future.set_result(result)
    return future


@contextlib.contextmanager
def pool(
    counter: Counter, slots: Sequence[Memory], processes: int, context: multiprocessing.context.SpawnContext
) -> Iterator[concurrent.futures.Executor]:
    workers = concurrent.futures.ProcessPoolExecutor(processes, context, start_worker, (counter, slots))
    try:
        yield workers
    except BrokenProcessPool as error:
        raise UserError(
            "a counting process was killed, perhaps for its memory: try again with fewer --processes"
        ) from error
    finally:
        workers.shutdown(cancel_futures=True)


def start_worker(counter: Counter, slots: Sequence[Memory]) -> None:
    global the_counter, the_slots
    the_counter, the_slots = counter, slots
    end_with_parent()


def work(slot: int) -> Tally:
    return the_counter.tally(read_batch(pa.py_buffer(the_slots[slot])))
