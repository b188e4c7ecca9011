"""Compiles plans to find the largest batch that fits, or the least costly way to fit a batch."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cliptail_jax.planning.compiling import Plan

Changes = Mapping[str, Any]  # new values of config fields, by dotted key
PlanOf = Callable[[Changes], Plan]
# Settings that need less and less memory, and more and more operations.
REMAT = ("none", "blocks")
ACCUMULATE = (1, 2, 4, 8, 16)


def largest_batch(plan_of: PlanOf) -> Plan | None:
    """The plan of the largest batch that fits, among the config's, doubled or halved repeatedly. None if none fits."""
    plan = plan_of({})
    grows, size = plan.fits, plan.batch_size
    while True:
        size = size * 2 if grows else size // 2
        if not size or not is_even(plan, size, plan.fields["accumulate_steps"]):
            return plan if plan.fits else None
        candidate = plan_of({"batch_size": size})
        if grows and not candidate.fits:
            return plan
        plan = candidate
        if not grows and candidate.fits:
            return plan


def cheapest_fit(plan_of: PlanOf) -> str | None:
    """The fields of the first of the `ways` in which the config's batch fits; None if there is none."""
    fit = next((changes for changes in ways(plan_of({})) if plan_of(changes).fits), None)
    return fit and ", ".join(f"{key}={value!r}" for key, value in fit.items())


def ways(plan: Plan) -> Iterator[Changes]:
    """Changes of config fields that give the same result in less and less memory."""
    for shard in (False, True):
        for steps in ACCUMULATE:
            for remat in REMAT:
                if steps > 1 and plan.has_batch_norm and not plan.fields["batch_norm.group_size"]:
                    continue  # other groups would have other batch statistics
                if is_even(plan, plan.batch_size, steps):
                    yield {"optimizer.shard": shard, "accumulate_steps": steps, "model.remat": remat}


def is_even(plan: Plan, batch_size: int, steps: int) -> bool:
    """Whether each device has equally many examples of each micro-batch, in whole batch-norm groups."""
    devices, group = plan.topology.chips * plan.topology.chip.devices, plan.fields["batch_norm.group_size"]
    share = (
        batch_size // (steps * devices) if steps > 1 else batch_size
    )  # without accumulation, groups may span devices
    return batch_size % (steps * devices) == 0 and not (group and share % group)
