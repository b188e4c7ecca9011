"""Lower bounds of the time of a step, from the compiled program and the published peaks of the chip."""

from collections.abc import Mapping

from cliptail_jax.planning.compiling import Plan
from cliptail_jax.planning.hlo import Traffic
from cliptail_jax.planning.topologies import Topology

# How often a chip sends its bytes in a ring or torus of many chips; with n chips, (n - 1) / n of that.
SENT = {"all-reduce": 2, "all-gather": 1, "reduce-scatter": 1, "all-to-all": 1, "collective-permute": 1}


def step_seconds(plan: Plan) -> dict[str, float]:
    """The time of a step by arithmetic ('compute'), HBM ('memory') and links between chips ('interconnect').

    With each at its peak and perfect overlap, a step would take the longest of them.
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
    """The time that a chip's links need for a step's collectives, each over all chips.

    Between slices, or hosts of GPUs, only the result of a reduction within them is sent, over the network cards of all chips
    of the slice or host.
    """
    groups = topology.slices if topology.is_tpu else topology.hosts
    within, seconds = topology.chips // groups, 0.0
    for kind, traffic in collectives.items():
        sent = SENT[kind] * traffic.bytes
        seconds += sent * (within - 1) / within / topology.chip.link
        seconds += sent * (groups - 1) / groups / (within * topology.chip.network)
    return seconds
