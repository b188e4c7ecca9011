"""Compiles a run's training or evaluation step ahead of time, without the devices."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh

from cliptail_jax.config.fields import flatten
from cliptail_jax.evaluation.counting import ClassHead, count_shapes, make_evaluate_batch
from cliptail_jax.parallel.sharding import batch_sharding, check_accumulation, check_batch, make_mesh, replicated
from cliptail_jax.planning.gpus import with_cudnn
from cliptail_jax.planning.operations import operations
from cliptail_jax.planning.program import Program, compiled_program
from cliptail_jax.planning.synthetic import random_batch
from cliptail_jax.planning.topologies import Topology
from cliptail_jax.training.initialization import first_state
from cliptail_jax.training.objective import Objective
from cliptail_jax.training.state import state_shardings
from cliptail_jax.training.step import jit_train_step, make_train_step

# The config fields that change a step's memory but not its result.
MEMORY_FIELDS = ("model.remat", "accumulate_steps", "batch_norm.group_size", "optimizer.shard", "mesh.fsdp")


@dataclasses.dataclass(frozen=True)
class Plan:
    """The needs of a step on each chip.

    Attributes:
        topology: the chips.
        fields: the values of `MEMORY_FIELDS`.
        total_steps: the steps of the run; 0 for an evaluation step.
        batch_size: the batch over all chips.
        has_batch_norm: whether the model has batch statistics.
        parameters: bytes of the trained and frozen parameters and the batch statistics.
        optimizer: bytes of the other state: the optimizer's, and moving averages.
        flops: operations in matrix products and convolutions per step.
        program: the needs of the compiled program.
    """

    topology: Topology
    fields: Mapping[str, Any]
    total_steps: int
    batch_size: int
    has_batch_norm: bool
    parameters: int
    optimizer: int
    flops: float
    program: Program

    @property
    def fits(self) -> bool:
        return self.program.available is None and self.program.peak <= self.topology.chip.memory


def plan_step(objective: Objective, topology: Topology, versions: Mapping[str, str]) -> Plan:
    """The plan of the training step of the objective's run, which `train` would compile on these chips.

    `versions` are the versions of the packages on which the compiled program depends. Raises UserError, as `train` does, if
    the run is not possible on these chips.
    """
    config, classes = objective.config, len(objective.variant.class_names)
    mesh = make_mesh(config.mesh, topology.devices())
    check_accumulation(mesh, config.batch_size, config.accumulate_steps, config.batch_norm.group_size)
    optimizer = objective.make_optimizer()
    graphdef, shapes, _ = first_state(objective, optimizer)
    shardings = state_shardings(mesh, shapes, config.optimizer.shard)
    state = jax.tree.map(with_sharding, shapes, shardings)
    sample = random_batch(objective, 1, classes)  # its arrays have the shapes of a record
    batch = jax.tree.map(lambda x: on_all_chips(mesh, (config.batch_size, *x.shape[1:]), x.dtype), sample)
    step = jit_train_step(make_train_step(objective, graphdef, optimizer, mesh), mesh, shardings)
    with with_cudnn():
        trace = step.trace(state, batch)
    parts = state.trainable, state.frozen, state.batch_stats
    return _plan(objective, trace, topology, versions, state, parts, objective.total_steps, config.batch_size)


def plan_evaluation(objective: Objective, topology: Topology, versions: Mapping[str, str]) -> Plan:
    """The plan of an evaluation step of the objective's run on a set with the variant's classes, as in `plan_step`."""
    config, classes = objective.config, len(objective.variant.class_names)
    mesh = make_mesh(config.mesh, topology.devices())
    check_batch(mesh, config.eval.batch_size, "eval.batch_size")
    graphdef, shapes, _ = first_state(objective, optax.identity())
    parts = jax.tree.map(with_sharding, shapes, state_shardings(mesh, shapes, False)).parts()
    trainable = {"logit_scale": ()} if objective.uses_prompts else {"bias": (classes,)}
    head = {"embeddings": (classes, config.model.image.output_dim), **trainable}
    on_each = lambda shape, dtype: jax.ShapeDtypeStruct(shape, dtype, sharding=replicated(mesh))  # noqa: E731
    side, batch_size = config.data.image_size, config.eval.batch_size
    batch = {"images": ((side, side, 3), np.uint8), "labels": ((), np.int32), "mask": ((), bool)}
    with with_cudnn():
        trace = make_evaluate_batch(graphdef, mesh, objective.preprocess).trace(
            parts,
            ClassHead(**{name: on_each(shape, np.float32) for name, shape in head.items()}),
            {name: on_each(shape, np.int32) for name, shape in count_shapes(classes).items()},
            {name: on_all_chips(mesh, (batch_size, *shape), dtype) for name, (shape, dtype) in batch.items()},
        )
    return _plan(objective, trace, topology, versions, parts, parts, total_steps=0, batch_size=batch_size)


def _plan(
    objective: Objective,
    trace: jax.stages.Traced,
    topology: Topology,
    versions: Mapping[str, str],
    state: Any,
    parts: tuple[nnx.State, nnx.State, nnx.State],
    total_steps: int,
    batch_size: int,
) -> Plan:
    """The plan of a traced step of a `state` with the model's `parts`: trained and frozen parameters, batch statistics.

    If the state alone does not fit, nothing is compiled, since that could take minutes.
    """
    name, values = f"{topology.name} × {topology.slices}", dict(flatten(objective.config))
    parameters, state_bytes = bytes_of_device(parts), bytes_of_device(state)
    devices = topology.chip.devices
    available = int(topology.chip.memory / devices)
    if state_bytes > available:
        program = Program(state_bytes, available)
    else:
        program = compiled_program(trace.lower(), name, topology.compiler_options, versions, topology.cache)
    return Plan(
        topology=topology,
        fields={key: values[key] for key in MEMORY_FIELDS},
        total_steps=total_steps,
        batch_size=batch_size,
        has_batch_norm=bool(jax.tree.leaves(parts[2])),
        parameters=devices * parameters,
        optimizer=devices * (state_bytes - parameters),
        flops=operations(trace.jaxpr.jaxpr) / topology.chips,
        program=program.times(devices),
    )


def on_all_chips(mesh: Mesh, shape: tuple[int, ...], dtype: np.dtype) -> jax.ShapeDtypeStruct:
    """An array of a batch, divided over the mesh."""
    return jax.ShapeDtypeStruct(shape, dtype, sharding=batch_sharding(mesh))


def with_sharding(shape: jax.ShapeDtypeStruct, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding)


def bytes_of_device(state: Any) -> int:
    """The bytes per device of arrays with shardings."""
    leaves = [x for x in jax.tree.leaves(state) if not jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)]
    return sum(x.dtype.itemsize * math.prod(x.sharding.shard_shape(x.shape)) for x in leaves)
