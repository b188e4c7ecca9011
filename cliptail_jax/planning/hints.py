"""Estimates from a plan which changes would help a run. A new plan checks an estimate."""

import math

from cliptail_jax.planning.bounds import binding, step_seconds
from cliptail_jax.planning.compiling import Plan

USABLE = 0.95  # share of a chip's memory


def hints(plan: Plan) -> list[str]:
    """The hints, one line each. Estimates assume the memory per example of the planned batch."""
    memory, state = USABLE * plan.topology.chip.memory, plan.parameters + plan.optimizer
    activations = plan.program.peak - state
    return _with_room(plan, memory - state, activations) if plan.fits else _without_room(plan, memory, activations)


def _without_room(plan: Plan, memory: float, activations: int) -> list[str]:
    fields, chips, lines = plan.fields, plan.topology.chips, []
    if fields["model.remat"] == "none":
        lines.append("model.remat='blocks' keeps only the inputs of blocks, for about a third more operations")
    room = memory - plan.parameters - plan.optimizer
    parts = 2 ** max(math.ceil(math.log2(max(activations / room, 1))), 0) if room > 0 else 0
    share, steps = plan.batch_size // chips, fields["accumulate_steps"] * parts
    if parts and steps <= share:
        group = fields["batch_norm.group_size"]
        changes_groups = plan.has_batch_norm and (not group or (share // steps) % group)
        group_text = f" with batch_norm.group_size={share // steps}" if changes_groups else ""
        lines.append(f"accumulate_steps={steps}{group_text}, for one more forward pass")
    if plan.optimizer > 0.1 * memory and chips > 1 and not fields["optimizer.shard"]:
        lines.append(f"optimizer.shard=True leaves a chip {plan.optimizer / chips / 1e9:.2g} GB of the optimizer")
    if plan.parameters > 0.3 * memory and chips > fields["mesh.fsdp"]:
        lines.append(f"mesh.fsdp={chips} leaves a chip {plan.parameters / chips / 1e9:.2g} GB of parameters")
    if parts:
        lines.append(f"{chips * parts} chips instead of {chips}")
    return lines


def _with_room(plan: Plan, room: float, activations: int) -> list[str]:
    fields, chips, lines = plan.fields, plan.topology.chips, []
    share, larger = plan.batch_size // chips, int(room / max(activations, 1))
    factor = 2 ** int(math.log2(larger)) if larger >= 2 else 1
    if factor > 1:
        lines.append(f"batch_size={plan.batch_size * factor:,} ({share * factor:,} a chip) would still fit")
    if binding(step_seconds(plan))[0] == "interconnect":
        lines.append("fewer chips, or more examples a chip: chips wait for each other")
    elif factor > 1 and chips > 1:
        lines.append(f"fewer chips would do: memory allows {max(chips // factor, 1)}")
    if fields["model.remat"] != "none" and factor > 1:
        lines.append("model.remat='none' saves operations")
    if fields["accumulate_steps"] > 1 and factor > 1:
        lines.append(f"accumulate_steps={fields['accumulate_steps'] // 2} saves time")
    return lines
