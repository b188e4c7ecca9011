"""Whether a run's input keeps up with its training step, measured over the first 100 steps."""

import math
import time
from collections.abc import Iterable, Iterator

import jax
import numpy as np

from cliptail_jax.host.cores import usable_cores
from cliptail_jax.input.pipeline import THREADS, Batch

STEPS = 100
ALONE = range(50, 60)  # steps that the loop waits for, to measure their duration
NOTICEABLE = 0.1  # share of the time between two batches; shorter waits do not count


class InputMonitor:
    """Measures the input of one session of a run. `wait_seconds` are the seconds so far in which the devices had no images.

    A step waits for its images if the devices are idle when they arrive. The duration of a step is measured while it
    runs alone. The duration of loading its images is the time that the cores are busy with them.
    """

    def __init__(self, workers: int, canvas: int):
        """`workers` is the number of processes that load images, 0 for threads; `canvas` the side of a canvas in pixels."""
        self._workers, self._canvas = workers, canvas
        self.wait_seconds = 0.0
        self._is_reported = False
        self._waits: list[bool] = []
        self._step_seconds: list[float] = []
        self._loading: list[np.ndarray] = []  # of each batch: seconds, reduced images, and the longest of their sides
        self._running: tuple[float, jax.Array] | None = None  # when the last step was dispatched, and its loss

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yields the batches without their array `loading`."""
        batches, last = iter(batches), None
        while True:
            if self._running and len(self._loading) in ALONE:
                start, loss = self._running
                jax.block_until_ready(loss)
                self._step_seconds.append(time.perf_counter() - start)
            start = time.perf_counter()
            if (batch := next(batches, None)) is None:
                return
            arrival = time.perf_counter()
            loading = batch.pop("loading")
            is_idle = self._running is not None and self._running[1].is_ready()
            self.wait_seconds += (arrival - start) * is_idle
            if len(self._loading) < STEPS:
                self._loading.append(loading)
                if last is not None and self._running:
                    self._waits.append(is_idle and arrival - start > NOTICEABLE * (arrival - last))
            last = arrival
            yield batch

    def started(self, loss: jax.Array) -> None:
        """Record that the step with this loss was dispatched."""
        self._running = time.perf_counter(), loss

    def report(self) -> tuple[dict[str, float], str] | None:
        """The measurements, as numbers and as a line with advice, once they are complete; None before, and afterwards.

        The numbers are the seconds of a step alone, the seconds that a core takes to load its images, and the share of the
        steps that waited.
        """
        if len(self._loading) < STEPS or self._is_reported:
            return None
        self._is_reported = True
        step = float(np.median(self._step_seconds[1:]))  # the first may have queued
        core, waits = float(np.mean(self._loading, axis=0)[0]), float(np.mean(self._waits))
        numbers = {"input/step_seconds": step, "input/core_seconds": core, "input/waits": waits}
        return numbers, self._describe(step, core, waits)

    def _describe(self, step: float, core: float, waits: float) -> str:
        cores_for_input, cores = math.ceil(core / step), usable_cores()
        text = (
            f"{'input-bound' if waits > 0.5 else 'the input keeps up'}: {sum(self._waits)} of {len(self._waits)} steps waited "
            f"for images; a step takes {1000 * step:,.0f} ms, and loading its images {1000 * core:,.0f} ms of one core "
            f"({cores_for_input} needed, {cores} available)"
        )
        if waits > 0.5 and (self._workers or THREADS) < min(cores_for_input, cores):
            text += f"; data.workers={min(cores_for_input, cores)} uses more of them"
        elif waits > 0.5 and cores_for_input > cores:
            text += "; data.resize='step' or data.scaled_decoding leaves them less to do"
        _, reductions, longest = np.stack(self._loading).T
        if reductions.sum():
            text += (
                f"; {int(reductions.sum()):,} images had longer sides than data.canvas={self._canvas} and were reduced to it: "
                f"{int(longest.max())} would fit all of them"
            )
        return text
