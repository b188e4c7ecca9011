"""Lower bounds of the time of a step, from the compiled program and the published peaks of the chip."""

from collections.abc import Mapping

from cliptail_jax.planning.compiling import Plan
from cliptail_jax.planning.hlo import Traffic
from cliptail_jax.planning.topologies import Topology

# How often a chip of a large ring or torus sends its bytes. Among n chips, it is (n - 1) / n times this number.
PASSES = {"all-reduce": 2, "all-gather": 1, "reduce-scatter": 1, "all-to-all": 1, "collective-permute": 1}


def step_seconds(plan: Plan) -> dict[str, float]:
    """The seconds of a step for arithmetic ('compute'), HBM ('memory') and links between chips ('interconnect').

    If each were at its peak and all overlapped perfectly, a step would take the longest of these times.
    """
    chip = plan.topology.chip
    return {
        "compute": plan.flops / chip.flops,
        "memory": plan.program.hbm / chip.hbm,
        "interconnect": interconnect_seconds(plan.program.collectives, plan.topology),
    }


def binding(seconds: Mapping[str, float]) -> tuple[str, float]:
    """The longest of the times that `step_seconds` returns, and its name."""
    return max(seconds.items(), key=lambda item: item[1])


def interconnect_seconds(collectives: Mapping[str, Traffic], topology: Topology) -> float:
    """The seconds that a chip's links need for a step's collectives, each over all chips.

    Slices, or hosts of GPUs, first reduce within themselves, and then send only the result to each other, over the network
    cards of all their chips.
    """
    groups = topology.slices if topology.is_tpu else topology.hosts
    group_chips, seconds = topology.chips // groups, 0.0
    for kind, traffic in collectives.items():
        size = PASSES[kind] * traffic.bytes
        seconds += size * (group_chips - 1) / group_chips / topology.chip.link
        seconds += size * (groups - 1) / groups / (group_chips * topology.chip.network)
    return seconds
