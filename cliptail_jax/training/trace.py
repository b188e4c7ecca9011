"""A trace of a few training steps for TensorBoard and XProf."""

from pathlib import Path

import jax
from jax import Array

from cliptail_jax.runs.console import log_line

FOLDER = "profile"  # in the work directory
UNTRACED_STEPS = 3  # at the beginning of a session, which also load and compile


class StepTrace:
    """Traces a number of steps of this session, on the first process; none if the number is 0."""

    def __init__(self, workdir: Path, steps: int):
        self._folder, self._steps, self._count = workdir / FOLDER, steps if jax.process_index() == 0 else 0, 0

    def after_step(self, loss: Array) -> None:
        """Starts or ends the trace, once the step with this loss is done."""
        self._count += 1
        if self._steps and self._count in (UNTRACED_STEPS, UNTRACED_STEPS + self._steps):
            jax.block_until_ready(loss)
            if self._count == UNTRACED_STEPS:
                jax.profiler.start_trace(self._folder)
            else:
                self.end()

    def end(self) -> None:
        """Writes the trace if it has started and not ended, as at the end of a short run."""
        if self._steps and self._count >= UNTRACED_STEPS:
            jax.profiler.stop_trace()
            log_line(
                f"{self._folder} has a trace of {self._steps} steps: open it with 'tensorboard --logdir {self._folder}'"
            )
            self._steps = 0
