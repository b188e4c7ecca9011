"""Steps and input of known durations, on a clock that the test turns."""

import numpy as np
import pytest

from cliptail_jax.training import input_monitor
from cliptail_jax.training.input_monitor import STEPS, InputMonitor


class Clock:
    now = 0.0

    def perf_counter(self) -> float:
        return self.now


class Loss:
    """The loss of a step that ends at a time; devices run one step after the other."""

    def __init__(self, clock: Clock, ends: float):
        self.clock, self.ends = clock, ends

    def is_ready(self) -> bool:
        return self.clock.now >= self.ends

    def block_until_ready(self) -> "Loss":
        self.clock.now = max(self.clock.now, self.ends)
        return self


@pytest.fixture
def train(monkeypatch, unchecked):
    """Runs a loop of steps that take `step` seconds, on batches that take `load` seconds of each of `cores`."""
    clock = Clock()
    monkeypatch.setattr(input_monitor, "time", clock)
    monkeypatch.setattr(input_monitor, "usable_cores", lambda: 4)

    def run(step, load, cores, steps=STEPS, wait_every=0, workers=0, reduced=(0, 0)):
        def batches():
            arrival = clock.now
            while True:
                arrival += load / cores
                clock.now = max(clock.now, arrival)  # loaded ahead of time, or waited for
                yield {"images": None, "loading": np.array([load, *reduced])}

        feed, ends, reports = InputMonitor(workers, 384), clock.now, []
        for number, batch in zip(range(1, steps + 1), feed.watch(batches())):
            assert batch == {"images": None}
            ends = max(ends, clock.now) + step
            feed.started(Loss(clock, ends))
            if wait_every and number % wait_every == 0:
                clock.now = ends
            reports.append(feed.report())
        return [report for report in reports if report]

    return run


@pytest.mark.parametrize("wait_every", [0, 10])
def test_slow_input_is_found_whether_or_not_the_loop_waits_for_its_steps(train, wait_every):
    ((numbers, text),) = train(step=0.1, load=1.0, cores=2, wait_every=wait_every, steps=STEPS + 20)
    assert text.startswith("input-bound: 99 of 99 steps waited for images; a step takes 100 ms")
    assert "1,000 ms of one core (10 needed, 4 available); data.workers=4" in text
    assert numbers == pytest.approx({"input/step_seconds": 0.1, "input/core_seconds": 1.0, "input/waits": 1.0})


def test_fast_input_keeps_up(train):
    ((numbers, text),) = train(step=0.5, load=0.2, cores=2, wait_every=10)
    assert text.startswith("the input keeps up: 0 of 99 steps waited")
    assert text.endswith("(1 needed, 4 available)")
    assert numbers["input/step_seconds"] == pytest.approx(0.5)


def test_remedies_for_slow_input_are_named(train):
    ((_, text),) = train(step=0.1, load=1.0, cores=4, workers=4)
    assert "data.resize='step' or data.scaled_decoding" in text
    ((_, text),) = train(step=0.5, load=0.2, cores=2, reduced=(3, 640))
    assert text.endswith(
        "300 images had longer sides than data.canvas=384 and were reduced to it: 640 would fit all of them"
    )


def test_a_short_run_says_nothing(train):
    assert train(step=0.1, load=1.0, cores=2, steps=STEPS - 1) == []
