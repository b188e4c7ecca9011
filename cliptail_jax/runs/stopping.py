"""Stopping a run on request: SIGTERM, as schedulers send it before they take a machine back."""

import itertools
import signal

import jax
from jax.experimental import multihost_utils

# Asked to stop, JAX picks the number after the last one that it was shown in any process, from 0 when they start. Steps
# would not do: a session that goes on from a checkpoint, or a study's next run, passes over the number picked before it.
_numbers = itertools.count(1)


class StopRequest:
    """Whether SIGTERM asks the run to stop. As a context it listens, and afterwards SIGTERM does what it did before."""

    def __init__(self):
        self._asked = False

    def __enter__(self) -> "StopRequest":
        if jax.process_count() == 1:  # else JAX's own handler sees the signal, and agrees on a step
            self._before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, *_) -> None:
        if jax.process_count() == 1:
            signal.signal(signal.SIGTERM, self._before)

    def _ask(self, *_) -> None:
        self._asked = True

    def after_step(self) -> bool:
        """Whether all processes are to stop after this step; each process asks once after each step."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(next(_numbers))
        return self._asked

    def at_once(self) -> bool:
        """Whether this one process, with no other to agree with, may stop in the middle of an evaluation."""
        return self._asked
