"""Stops a run on SIGTERM, which schedulers send before they take a machine back."""

import contextlib
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from typing import TypeVar

import jax
from jax.experimental import multihost_utils

from cliptail_jax.host.interrupts import end_at_once
from cliptail_jax.runs.console import log_line

T = TypeVar("T")
PATIENCE = 20.0  # seconds for the next batch, of the 30 that schedulers leave at least
OF_EVALUATION = 60.0  # seconds for an evaluation to end early, which may first compile
SILENCE = 45.0  # seconds without a batch until a line says so
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
        self._received = False
        self._patience = 0.0  # the seconds in which what runs now must end after SIGTERM; 0: any

    def __enter__(self) -> "StopRequest":
        if jax.process_count() == 1:  # else JAX's own handler receives the signal, and all processes agree on a step
            self._before = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *_) -> None:
        if jax.process_count() == 1:
            signal.signal(signal.SIGTERM, self._before)

    def _receive(self, *_) -> None:
        if not self._received:
            with contextlib.suppress(OSError):  # at once: a step may take minutes
                os.write(2, b"SIGTERM: the step that runs is completed and saved\n")
        self._received = True
        if self._patience:
            self._call_later(self._give_up, self._patience)

    def _give_up(self, *_) -> None:
        end_at_once(f"stopped by SIGTERM while no data came for {self._patience:g} s", 128 + signal.SIGTERM)

    def _warn(self, *_) -> None:
        log_line(
            f"warning: no images came for {SILENCE:g} s: their storage is slow, or the system refuses threads or memory "
            "(ulimit -a, /dev/shm); Ctrl-C ends the program"
        )

    def _call_later(self, function: Callable, seconds: float) -> None:
        signal.signal(signal.SIGALRM, function)
        signal.setitimer(signal.ITIMER_REAL, seconds)

    @contextlib.contextmanager
    def bounded(self, patience: float = OF_EVALUATION) -> Iterator[None]:
        """A context that SIGTERM ends with the program, unless it is left within these seconds."""
        self._patience = patience
        try:
            yield
        finally:
            self._patience = 0.0
            signal.setitimer(signal.ITIMER_REAL, 0)

    def watch(self, batches: Iterator[T]) -> Iterator[T]:
        """Yields the batches. If the next one does not come, a line says so, and SIGTERM ends the program.

        Libraries that load data may wait forever, for example for threads that the system refuses.
        """
        while True:
            with self.bounded(PATIENCE):
                self._call_later(self._warn, SILENCE)
                batch = next(batches, None)
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
