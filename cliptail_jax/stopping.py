"""Stopping a run on request: SIGTERM, as schedulers send it before they take a machine back."""

import signal

import jax
from jax.experimental import multihost_utils


class StopRequest:
    """Whether SIGTERM has asked all processes to stop after this step."""

    def __init__(self):
        self._asked = False
        if jax.process_count() == 1:  # else JAX's own handler sees the signal, and agrees on a step
            self._before = signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_) -> None:
        self._asked = True

    def requested(self, step: int) -> bool:
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._asked

    def close(self) -> None:
        """From here on SIGTERM does what it did before."""
        if jax.process_count() == 1:
            signal.signal(signal.SIGTERM, self._before)
