"""What hooks do after a step, and what it takes to add one."""

from pathlib import Path

import pytest
from test_train import losses

from cliptail_jax import train
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


def test_a_hook_is_one_line_in_train_py(sup_config, tmp_path):
    program, first_line = Path(train.__file__).read_text(encoding="utf-8"), "        hooks = [\n"
    line = "            Hook(every(2), lambda info: seen.append((int(info.state.step), float(info.metrics['train/loss'])))),\n"
    seen = []
    changed = {"__name__": "train_with_one_more_hook", "seen": seen}
    exec(program.replace(first_line, first_line + line), changed)
    sup_config.total_steps, sup_config.eval.sets = 4, ()
    changed["train"](sup_config, tmp_path)
    assert seen == losses(tmp_path)[1::2]
