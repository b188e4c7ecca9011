"""Stops a run on SIGTERM, which schedulers send before they take a machine back."""

import itertools
import signal
from collections.abc import Iterator
from typing import TypeVar

import jax
from jax.experimental import multihost_utils

from cliptail_jax.interrupts import end_at_once

T = TypeVar("T")
PATIENCE = 20.0  # seconds for the next batch, of the 30 that schedulers leave at least
# Asked to stop, JAX picks the number after the last one that it was shown in any process, from 0 when they start. Steps
# would not do: a session that resumes from a checkpoint, or a study's next run, passes over the number picked before it.
_numbers = itertools.count(1)


class StopRequest:
    """Listens for SIGTERM as a context; afterwards SIGTERM has its previous effect.

    Attributes:
        requested: whether the run is to stop, from the last `after_step` or `at_once`.
    """

    def __init__(self):
        self.requested = False
        self._received = self._waits = False

    def __enter__(self) -> "StopRequest":
        if jax.process_count() == 1:  # else JAX's own handler receives the signal, and all processes agree on a step
            self._before = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *_) -> None:
        if jax.process_count() == 1:
            signal.signal(signal.SIGTERM, self._before)

    def _receive(self, *_) -> None:
        self._received = True
        if self._waits:
            signal.signal(signal.SIGALRM, self._give_up)
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)

    def _give_up(self, *_) -> None:
        end_at_once(f"stopped by SIGTERM while no data came for {PATIENCE:g} s", 128 + signal.SIGTERM)

    def watch(self, batches: Iterator[T]) -> Iterator[T]:
        """Yields the batches. If SIGTERM arrives and the next batch does not, the program ends.

        Libraries that load data may wait forever, for example for threads that the system refuses.
        """
        while True:
            self._waits = True
            batch = next(batches, None)
            self._waits = False
            if self._received:
                signal.setitimer(signal.ITIMER_REAL, 0)
            if batch is None:
                return
            yield batch

    def after_step(self) -> None:
        """Updates `requested`, with the same result in all processes; each calls this once after each step."""
        if jax.process_count() == 1:
            self.requested = self._received
        else:
            self.requested = multihost_utils.reached_preemption_sync_point(next(_numbers))

    def at_once(self) -> bool:
        """Updates and returns `requested` in the middle of an evaluation; False if processes must agree first."""
        self.requested = self._received
        return self.requested
