"""What hooks do after a step."""

import pytest

from cliptail_jax.training.hooks import Hook, StepInfo, every, run_hooks
from cliptail_jax.training.state import TrainState


@pytest.mark.parametrize(
    "steps, last, due", [(1, 0, [1, 2, 3, 4, 5, 6, 7]), (3, 7, [3, 6, 7]), (9, 7, [7]), (9, 0, [])]
)
def test_a_schedule_has_every_so_many_steps_and_the_last(steps, last, due):
    assert [step for step in range(8) if every(steps, last)(step)] == due


def test_hooks_run_in_order_and_each_on_its_schedule():
    seen = []
    hooks = [Hook(every(2), lambda info: seen.append(("a", info.step))), Hook(every(1), lambda info: seen.append("b"))]
    for step in (1, 2):
        run_hooks(hooks, StepInfo(step, TrainState(*[None] * 6), {}))
    assert seen == ["b", ("a", 2), "b"]
