"""What would help a run, estimated from its plan: what an estimate says is to be planned again."""

import math

from ml_collections import ConfigDict

from cliptail_jax.planning.bounds import binding, step_seconds
from cliptail_jax.planning.compiling import Plan

USABLE = 0.95  # of a chip's memory


def hints(plan: Plan, config: ConfigDict) -> list[str]:
    """A line each; memory is taken to be the state's, and as much an example as the planned batch takes."""
    return _with_room(plan, config) if plan.fits else _without_room(plan, config)


def _without_room(plan: Plan, config: ConfigDict) -> list[str]:
    memory, state = USABLE * plan.topology.chip.memory, plan.parameters + plan.optimizer
    activations, chips, found = plan.peak - state, plan.topology.chips, []
    if config.model.remat == "none":
        found.append("model.remat='blocks' keeps the inputs of blocks alone, for about a third more operations")
    parts = _power(activations / (memory - state)) if state < memory else 0
    share = plan.batch_size // chips
    if parts and config.accumulate_steps * parts <= share:
        steps = config.accumulate_steps * parts
        group = config.batch_norm.group_size
        other = plan.has_batch_norm and (not group or (share // steps) % group)
        groups = f" with batch_norm.group_size={share // steps}" if other else ""
        found.append(f"accumulate_steps={steps}{groups}, for one more forward pass")
    if plan.optimizer > 0.1 * memory and chips > 1 and not config.optimizer.shard:
        found.append(f"optimizer.shard=True leaves a chip {plan.optimizer / chips / 1e9:.2g} GB of the optimizer")
    if plan.parameters > 0.3 * memory and chips > config.mesh.fsdp:
        found.append(f"mesh.fsdp={chips} leaves a chip {plan.parameters / chips / 1e9:.2g} GB of parameters")
    if state < memory:
        found.append(f"{chips * _power(activations / (memory - state))} chips instead of {chips}")
    return found


def _with_room(plan: Plan, config: ConfigDict) -> list[str]:
    memory, state = USABLE * plan.topology.chip.memory, plan.parameters + plan.optimizer
    chips, share, found = plan.topology.chips, plan.batch_size // plan.topology.chips, []
    larger = int((memory - state) / max(plan.peak - state, 1))
    if larger >= 2:
        factor = 2 ** int(math.log2(larger))
        found.append(f"batch_size={plan.batch_size * factor:,} ({share * factor:,} a chip) would still fit")
    if binding(step_seconds(plan))[0] == "interconnect":
        found.append("fewer chips, or more examples a chip: chips wait for each other")
    elif larger >= 2 and chips > 1:
        found.append(f"fewer chips would do: memory allows {max(chips // 2 ** int(math.log2(larger)), 1)}")
    if config.model.remat != "none" and larger >= 2:
        found.append("model.remat='none' saves operations")
    if config.accumulate_steps > 1 and larger >= 2:
        found.append(f"accumulate_steps={config.accumulate_steps // 2} saves time")
    return found


def _power(ratio: float) -> int:
    """The smallest power of 2 that is not below the ratio."""
    return 2 ** max(math.ceil(math.log2(max(ratio, 1))), 0)
