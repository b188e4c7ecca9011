"""The largest batch that fits, and the least costly way to fit a given one, found by compiling."""

from collections.abc import Callable, Iterator

from ml_collections import ConfigDict

from cliptail_jax.planning.compiling import Plan

PlanOf = Callable[[ConfigDict], Plan]
# Ways to need less memory, by the operations that they cost.
REMAT = ("none", "blocks")
ACCUMULATE = (1, 2, 4, 8, 16)


def largest_batch(config: ConfigDict, plan_of: PlanOf) -> Plan | None:
    """The plan of the largest batch that fits: the config's, doubled or halved as often as may be. None if none fits."""
    best, config = plan_of(config), changed(config)
    grows, devices = best.fits, devices_of(best)
    while True:
        size = config.batch_size * 2 if grows else config.batch_size // 2
        if not size or not is_even(size, config.accumulate_steps, config.batch_norm.group_size, devices):
            return best if best.fits else None
        config = changed(config, batch_size=size)
        plan = plan_of(config)
        if grows and not plan.fits:
            return best
        best = plan
        if not grows and plan.fits:
            return best


def cheapest_fit(config: ConfigDict, plan_of: PlanOf) -> str | None:
    """What the first of the `ways` sets in which the config's batch fits; None if there is none."""
    return next((fields for fields, candidate in ways(config, plan_of(config)) if plan_of(candidate).fits), None)


def ways(config: ConfigDict, plan: Plan) -> Iterator[tuple[str, ConfigDict]]:
    """Configs that compute the same as a planned one in less and less memory, with the fields that they set."""
    group = config.batch_norm.group_size
    for shard in (False, True):
        for steps in ACCUMULATE:
            for remat in REMAT:
                fields = {"optimizer.shard": shard, "accumulate_steps": steps, "model.remat": remat}
                if steps > 1 and plan.has_batch_norm and not group:
                    continue  # batch statistics of other groups would not be the same
                if is_even(config.batch_size, steps, group, devices_of(plan)):
                    yield ", ".join(f"{key}={value!r}" for key, value in fields.items()), changed(config, **fields)


def is_even(batch_size: int, steps: int, group: int, devices: int) -> bool:
    """Whether each device has as many examples of each of so many micro-batches, in whole batch-norm groups (0: none)."""
    share = batch_size // (steps * devices) if steps > 1 else batch_size  # one step's groups may span devices
    return batch_size % (steps * devices) == 0 and not (group and share % group)


def devices_of(plan: Plan) -> int:
    return plan.topology.chips * plan.topology.chip.devices


def changed(config: ConfigDict, **fields) -> ConfigDict:
    """A copy of the config with some fields, by their dotted names, set."""
    config = config.copy_and_resolve_references()
    config.update_from_flattened_dict(fields)
    return config
