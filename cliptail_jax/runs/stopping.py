"""Stopping a run on request: SIGTERM, as schedulers send it before they take a machine back."""

import itertools
import signal

import jax
from jax.experimental import multihost_utils

# Asked to stop, JAX picks the number after the last one that it was shown in any process, from 0 when they start. Steps
# would not do: a session that resumes from a checkpoint, or a study's next run, passes over the number picked before it.
_numbers = itertools.count(1)


class StopRequest:
    """Listens for SIGTERM as a context; afterwards SIGTERM has its previous effect.

    Attributes:
        requested: whether the run is to stop, as `after_step` or `at_once` last found it.
    """

    def __init__(self):
        self.requested = False
        self._received = False

    def __enter__(self) -> "StopRequest":
        if jax.process_count() == 1:  # else JAX's own handler receives the signal, and all processes agree on a step
            self._before = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *_) -> None:
        if jax.process_count() == 1:
            signal.signal(signal.SIGTERM, self._before)

    def _receive(self, *_) -> None:
        self._received = True

    def after_step(self) -> None:
        """Updates `requested`, with the same result in all processes; each calls this once after each step."""
        if jax.process_count() == 1:
            self.requested = self._received
        else:
            self.requested = multihost_utils.reached_preemption_sync_point(next(_numbers))

    def at_once(self) -> bool:
        """Updates and returns `requested` in the middle of an evaluation; False where processes have to agree first."""
        self.requested = self._received
        return self.requested
