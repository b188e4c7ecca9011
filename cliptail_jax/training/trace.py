"""A trace of a few training steps for TensorBoard and XProf."""

from pathlib import Path

import jax
from jax import Array

from cliptail_jax.runs.console import log_line

FOLDER = "profile"  # in the work directory
BEFORE = 3  # steps of a session that are not traced: the first also load and compile


class StepTrace:
    """Traces a number of steps of this session, on the first process; none if the number is 0."""

    def __init__(self, workdir: Path, steps: int):
        self._folder, self._steps, self._seen = workdir / FOLDER, steps if jax.process_index() == 0 else 0, 0

    def after_step(self, loss: Array) -> None:
        """Starts or ends the trace, once the step with this loss is done."""
        self._seen += 1
        if self._steps and self._seen in (BEFORE, BEFORE + self._steps):
            jax.block_until_ready(loss)
            if self._seen == BEFORE:
                jax.profiler.start_trace(self._folder)
            else:
                self.end()

    def end(self) -> None:
        """Writes the trace if it has started and not ended, as at the end of a short run."""
        if self._steps and self._seen >= BEFORE:
            jax.profiler.stop_trace()
            log_line(
                f"{self._folder} has a trace of {self._steps} steps: open it with 'tensorboard --logdir {self._folder}'"
            )
            self._steps = 0
