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
PATIENCE = 20.0  # seconds for the next batch; schedulers wait at least 30
EVALUATION_SECONDS = 60.0  # time for an evaluation to end early, which may first compile
SILENCE = 45.0  # seconds without a batch until a warning
# After a request to stop, all processes stop at the number after the last one that any of them has passed to JAX, from 0 at
# their start. Numbers of steps would not work: a session that resumes from a checkpoint, or a study's next run, would skip
# the number on which processes have agreed.
_numbers = itertools.count(1)


class StopRequest:
    """A context that listens for SIGTERM. After the context, SIGTERM has its previous effect.

    Attributes:
        is_requested: whether the run must stop, as of the last `after_step` or `check`.
    """

    def __init__(self):
        self.is_requested = False
        self._has_signal = False
        self._patience = 0.0  # seconds after SIGTERM until the current action must end; 0 for no limit

    def __enter__(self) -> "StopRequest":
        if jax.process_count() == 1:  # else JAX's handler receives the signal, and all processes agree on a step
            self._previous_handler = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *_) -> None:
        if jax.process_count() == 1:
            signal.signal(signal.SIGTERM, self._previous_handler)

    def _receive(self, *_) -> None:
        if not self._has_signal:
            with contextlib.suppress(OSError):  # now, since a step may take minutes
                os.write(2, b"SIGTERM: the step that runs is completed and saved\n")
        self._has_signal = True
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
    def bounded(self, patience: float = EVALUATION_SECONDS) -> Iterator[None]:
        """End the program after SIGTERM, unless this context ends within these seconds."""
        self._patience = patience
        try:
            yield
        finally:
            self._patience = 0.0
            signal.setitimer(signal.ITIMER_REAL, 0)

    def watch(self, batches: Iterator[T]) -> Iterator[T]:
        """Yield the batches. If the next one does not come, print a warning, and let SIGTERM end the program.

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
        """Update `is_requested`, with the same result in all processes. Each process calls this once after each step."""
        if jax.process_count() == 1:
            self.is_requested = self._has_signal
        else:
            self.is_requested = multihost_utils.reached_preemption_sync_point(next(_numbers))

    def check(self) -> bool:
        """Update and return `is_requested` in the middle of an evaluation; False if processes must agree first."""
        self.is_requested = self._has_signal
        return self.is_requested
