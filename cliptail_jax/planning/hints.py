"""Estimates from a plan what would help a run. Check estimates with a new plan."""

import math

from cliptail_jax.planning.bounds import binding, step_seconds
from cliptail_jax.planning.compiling import Plan

USABLE = 0.95  # of a chip's memory


def hints(plan: Plan) -> list[str]:
    """One line per hint. Estimates assume that the memory per example is that of the planned batch."""
    memory, state = USABLE * plan.topology.chip.memory, plan.parameters + plan.optimizer
    activations = plan.program.peak - state
    return _with_room(plan, memory - state, activations) if plan.fits else _without_room(plan, memory, activations)


def _without_room(plan: Plan, memory: float, activations: int) -> list[str]:
    fields, chips, found = plan.fields, plan.topology.chips, []
    if fields["model.remat"] == "none":
        found.append("model.remat='blocks' keeps the inputs of blocks alone, for about a third more operations")
    room = memory - plan.parameters - plan.optimizer
    parts = 2 ** max(math.ceil(math.log2(max(activations / room, 1))), 0) if room > 0 else 0
    share, steps = plan.batch_size // chips, fields["accumulate_steps"] * parts
    if parts and steps <= share:
        group = fields["batch_norm.group_size"]
        other = plan.has_batch_norm and (not group or (share // steps) % group)
        groups = f" with batch_norm.group_size={share // steps}" if other else ""
        found.append(f"accumulate_steps={steps}{groups}, for one more forward pass")
    if plan.optimizer > 0.1 * memory and chips > 1 and not fields["optimizer.shard"]:
        found.append(f"optimizer.shard=True leaves a chip {plan.optimizer / chips / 1e9:.2g} GB of the optimizer")
    if plan.parameters > 0.3 * memory and chips > fields["mesh.fsdp"]:
        found.append(f"mesh.fsdp={chips} leaves a chip {plan.parameters / chips / 1e9:.2g} GB of parameters")
    if parts:
        found.append(f"{chips * parts} chips instead of {chips}")
    return found


def _with_room(plan: Plan, room: float, activations: int) -> list[str]:
    fields, chips, found = plan.fields, plan.topology.chips, []
    share, larger = plan.batch_size // chips, int(room / max(activations, 1))
    factor = 2 ** int(math.log2(larger)) if larger >= 2 else 1
    if factor > 1:
        found.append(f"batch_size={plan.batch_size * factor:,} ({share * factor:,} a chip) would still fit")
    if binding(step_seconds(plan))[0] == "interconnect":
        found.append("fewer chips, or more examples a chip: chips wait for each other")
    elif factor > 1 and chips > 1:
        found.append(f"fewer chips would do: memory allows {max(chips // factor, 1)}")
    if fields["model.remat"] != "none" and factor > 1:
        found.append("model.remat='none' saves operations")
    if fields["accumulate_steps"] > 1 and factor > 1:
        found.append(f"accumulate_steps={fields['accumulate_steps'] // 2} saves time")
    return found
