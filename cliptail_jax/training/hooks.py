"""Hooks: the actions of a training loop besides its steps, each with its own schedule.

The loop calls `run_hooks` after each step with a list of hooks, which run in this order. To add one, add a line:

    Hook(every(100), lambda info: print(info.step, info.metrics["train/grad_norm"])),
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from jax import Array
from jaxtyping import Float

from cliptail_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class StepInfo:
    """The argument of hooks after a step. The next step reuses the memory of `state`, so hooks must not keep it.

    Attributes:
        step: the number of steps done.
        state: the state after the step.
        metrics: the metrics of the step, on the devices.
    """

    step: int
    state: TrainState
    metrics: Mapping[str, Float[Array, ""]]


@dataclasses.dataclass(frozen=True)
class Hook:
    """An action and its schedule: `run` is called after the steps for which `is_due` returns True."""

    is_due: Callable[[int], bool]
    run: Callable[[StepInfo], object]


def every(steps: int, last: int = 0) -> Callable[[int], bool]:
    """A schedule: after each `steps`-th step, and after step `last`."""
    return lambda step: step > 0 and (step % steps == 0 or step == last)


def run_hooks(hooks: Iterable[Hook], info: StepInfo) -> None:
    """Runs the hooks that are due after a step, in order."""
    for hook in hooks:
        if hook.is_due(info.step):
            hook.run(info)
