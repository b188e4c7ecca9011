"""Searches, by compiling, for the largest batch that fits and for the least costly way to fit a given one."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cliptail_jax.planning.compiling import Plan

Changes = Mapping[str, Any]  # new values of config fields, by dotted key
PlanOf = Callable[[Changes], Plan]
# Ways to need less memory, by the operations that they cost.
REMAT = ("none", "blocks")
ACCUMULATE = (1, 2, 4, 8, 16)


def largest_batch(plan_of: PlanOf) -> Plan | None:
    """The plan of the largest batch that fits: the config's, doubled or halved repeatedly. None if none fits."""
    best = plan_of({})
    grows, size = best.fits, best.batch_size
    while True:
        size = size * 2 if grows else size // 2
        if not size or not is_even(best, size, best.fields["accumulate_steps"]):
            return best if best.fits else None
        plan = plan_of({"batch_size": size})
        if grows and not plan.fits:
            return best
        best = plan
        if not grows and plan.fits:
            return best


def cheapest_fit(plan_of: PlanOf) -> str | None:
    """The fields set by the first of the `ways` in which the config's batch fits; None if there is none."""
    fit = next((changes for changes in ways(plan_of({})) if plan_of(changes).fits), None)
    return fit and ", ".join(f"{key}={value!r}" for key, value in fit.items())


def ways(plan: Plan) -> Iterator[Changes]:
    """Changes of config fields with the plan's result in less and less memory."""
    for shard in (False, True):
        for steps in ACCUMULATE:
            for remat in REMAT:
                if steps > 1 and plan.has_batch_norm and not plan.fields["batch_norm.group_size"]:
                    continue  # batch statistics of other groups would not be the same
                if is_even(plan, plan.batch_size, steps):
                    yield {"optimizer.shard": shard, "accumulate_steps": steps, "model.remat": remat}


def is_even(plan: Plan, batch_size: int, steps: int) -> bool:
    """Whether each device has equally many examples of each micro-batch, in whole batch-norm groups."""
    devices, group = plan.topology.chips * plan.topology.chip.devices, plan.fields["batch_norm.group_size"]
    share = batch_size // (steps * devices) if steps > 1 else batch_size  # one step's groups may span devices
    return batch_size % (steps * devices) == 0 and not (group and share % group)
