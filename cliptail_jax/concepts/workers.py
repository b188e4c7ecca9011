"""Work on many items in several processes."""

import concurrent.futures
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from cliptail_jax.errors import UserError
from cliptail_jax.interrupts import end_with_parent

Item, Result = TypeVar("Item"), TypeVar("Result")


def completed(work: Callable[[Item], Result], items: Sequence[Item], processes: int) -> Iterator[tuple[Item, Result]]:
    """Yields each item with the result of `work` upon completion, from this process or from `processes` > 1 others.

    Work, items and results are pickled for other processes. These end with this iterator or with this process.

    Raises:
        UserError: A process was killed.
    """
    if processes == 1:
        yield from ((item, work(item)) for item in items)
        return
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # a fork would copy Arrow's threads in an undefined state
    workers = concurrent.futures.ProcessPoolExecutor(processes, context, end_with_parent)
    try:
        futures = {workers.submit(work, item): item for item in items}
        for future in concurrent.futures.as_completed(futures):
            yield futures[future], future.result()
    except BaseException as error:
        for process in set(multiprocessing.active_children()) - others:
            process.terminate()  # an item may take long
        if isinstance(error, BrokenProcessPool):
            raise UserError(
                "a worker process was killed, perhaps for its memory: try again with fewer --processes"
            ) from error
        raise
    finally:
        workers.shutdown(cancel_futures=True)
