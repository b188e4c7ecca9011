"""Stopping a run on request: SIGTERM, as schedulers send it before they take a machine back."""

import signal

import jax
from jax.experimental import multihost_utils


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

    def after(self, step: int) -> bool:
        """Whether all processes are to stop after this step."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._asked

    def at_once(self) -> bool:
        """Whether this one process, with no other to agree with, may stop in the middle of an evaluation."""
        return self._asked
