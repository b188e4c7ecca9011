"""A run's training step, compiled ahead of time for devices that need not be there."""

import dataclasses
import math
import re
from collections.abc import Mapping

import jax
from ml_collections import ConfigDict

from cliptail_jax.curation.variant import Variant
from cliptail_jax.errors import UserError
from cliptail_jax.objectives import make_objective
from cliptail_jax.parallel.sharding import batch_sharding, check_batch, make_mesh, state_shardings
from cliptail_jax.planning.hlo import Traffic, collectives, hbm_bytes
from cliptail_jax.planning.made_up import random_batch
from cliptail_jax.planning.topologies import Topology
from cliptail_jax.training.initialization import first_state
from cliptail_jax.training.optimizer import learning_rate, make_optimizer
from cliptail_jax.training.step import jit_train_step, make_train_step

# Such as "Ran out of memory in memory space hbm. Used 21.33G of 15.75G hbm." and "the total memory required for HLO
# temporaries (238.06G) exceeds available HBM (15.75G)".
OUT_OF_MEMORY = re.compile(
    r"Used ([\d.]+)([KMG]) of ([\d.]+)([KMG]) hbm|temporaries \(([\d.]+)([KMG])\) exceeds available HBM \(([\d.]+)([KMG])\)"
)
UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a training step needs of each chip.

    Attributes:
        topology: the chips.
        total_steps: of the run.
        batch_size: over all chips.
        parameters: bytes of the trained and frozen parameters and the batch statistics.
        optimizer: bytes of the rest of the state: the optimizer's, and moving averages.
        peak: bytes at the moment when most are in use.
        available: bytes that the compiler may use; None if it did not run out of them, and so did not say.
        flops: operations a step; None where the program does not fit, as for the following.
        hbm: bytes that a step moves from and to HBM.
        collectives: number and bytes of a step's collectives by their kinds.
    """

    topology: Topology
    total_steps: int
    batch_size: int
    parameters: int
    optimizer: int
    peak: int
    available: int | None = None
    flops: float | None = None
    hbm: int | None = None
    collectives: Mapping[str, Traffic] = dataclasses.field(default_factory=dict)

    @property
    def fits(self) -> bool:
        return self.available is None and self.peak <= self.topology.chip.memory


def plan_step(config: ConfigDict, variant: Variant, topology: Topology) -> Plan:
    """The plan of the training step of a run of the config on the variant, which `train` would compile on these chips.

    Raises UserError where the run cannot be on these chips, as `train` does, or accumulates gradients.
    """
    if config.accumulate_steps > 1:
        raise UserError(
            "accumulate_steps is 1 in a plan: XLA counts the operations of a loop once, however often it runs"
        )
    mesh = make_mesh(config.mesh, topology.devices())
    check_batch(mesh, config.batch_size, "batch_size")
    objective = make_objective(config, variant)
    total_steps = objective.total_steps
    schedule = learning_rate(config.optimizer, objective.steps_per_epoch, total_steps, config.total_epochs)
    optimizer = make_optimizer(config.optimizer, schedule, total_steps, objective.held)
    graphdef, shapes, _ = first_state(objective, optimizer)
    shardings = state_shardings(mesh, shapes)
    state = jax.tree.map(laid_out, shapes, shardings)
    sample = random_batch(objective, 1, len(variant.class_names))  # its arrays have the shapes of a record
    batch = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((config.batch_size, *x.shape[1:]), x.dtype, sharding=batch_sharding(mesh)),
        sample,
    )
    step = make_train_step(objective, graphdef, optimizer)
    lowered = jit_train_step(step, mesh, shardings).lower(state, batch)

    devices = topology.chip.devices
    parameters = devices * bytes_of_device((state.trainable, state.frozen, state.batch_stats))
    sizes = {"parameters": parameters, "optimizer": devices * bytes_of_device(state) - parameters}
    about = {"topology": topology, "total_steps": total_steps, "batch_size": config.batch_size, **sizes}
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        found = OUT_OF_MEMORY.search(str(error))
        if not found:
            raise
        used, used_unit, limit, limit_unit = filter(None, found.groups())
        peak, available = float(used) * UNITS[used_unit], float(limit) * UNITS[limit_unit]
        return Plan(**about, peak=round(devices * peak), available=round(devices * available))
    memory, text = compiled.memory_analysis(), compiled.as_text()
    peak = memory.argument_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes
    return Plan(
        **about,
        peak=devices * (peak + memory.temp_size_in_bytes + memory.generated_code_size_in_bytes),
        flops=devices * compiled.cost_analysis()["flops"],
        hbm=devices * hbm_bytes(text),
        collectives={kind: traffic.times(devices) for kind, traffic in collectives(text).items()},
    )


def laid_out(shape: jax.ShapeDtypeStruct, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding)


def bytes_of_device(state) -> int:
    """Bytes that each device holds of arrays that are laid out by shardings."""
    leaves = [x for x in jax.tree.leaves(state) if not jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)]
    return sum(x.dtype.itemsize * math.prod(x.sharding.shard_shape(x.shape)) for x in leaves)
