"""Work on many items in several processes."""

import contextlib
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.interrupts import RESOURCE_TRACKER_WARNINGS, end_with_parent

Item, Result = TypeVar("Item"), TypeVar("Result")


@contextlib.contextmanager
def worker_processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes. They end with the block (at once, if it raises an error), and with this process.

    Work and results are pickled.

    Raises:
        UserError: A process was killed.
    """
    sys.warnoptions.append(RESOURCE_TRACKER_WARNINGS)
    other_processes = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # a fork would copy Arrow's threads in an undefined state
    workers = ProcessPoolExecutor(count, context, end_with_parent)
    try:
        yield workers
    except BaseException as error:
        for process in set(multiprocessing.active_children()) - other_processes:
            process.terminate()  # its work may take long
        if isinstance(error, BrokenProcessPool):
            raise UserError(
                "a worker process was killed, perhaps for its memory: try again with fewer processes"
            ) from error
        raise
    finally:
        workers.shutdown(cancel_futures=True)


def completed(work: Callable[[Item], Result], items: Sequence[Item], processes: int) -> Iterator[tuple[Item, Result]]:
    """Yields each item with the result of `work` when it is complete. More than one process are worker processes.

    Raises:
        UserError: A process was killed.
    """
    if processes == 1:
        yield from ((item, work(item)) for item in items)
        return
    with worker_processes(processes) as workers:
        futures = {workers.submit(work, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future.result()
