"""A run's training or evaluation step, compiled ahead of time for devices that need not be there."""

import dataclasses
import math
from collections.abc import Mapping

import jax
import numpy as np
import optax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from cliptail_jax.curation.variant import Variant
from cliptail_jax.evaluation.counting import ClassHead, count_shapes, make_evaluate_batch
from cliptail_jax.parallel.sharding import batch_sharding, check_accumulation, check_batch, make_mesh, replicated
from cliptail_jax.planning.hlo import Traffic
from cliptail_jax.planning.operations import operations
from cliptail_jax.planning.placeholders import make_objective
from cliptail_jax.planning.program import program
from cliptail_jax.planning.synthetic import random_batch
from cliptail_jax.planning.topologies import Topology
from cliptail_jax.training.initialization import first_state
from cliptail_jax.training.state import state_shardings
from cliptail_jax.training.step import jit_train_step, make_train_step


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a step needs of each chip.

    Attributes:
        topology: the chips.
        total_steps: of the run; 0 for an evaluation step.
        batch_size: over all chips.
        has_batch_norm: whether the model has batch statistics.
        parameters: bytes of the trained and frozen parameters and the batch statistics.
        optimizer: bytes of the rest of the state: the optimizer's, and moving averages.
        flops: operations a step of matrix products and convolutions.
        peak: bytes at the moment when most are in use.
        available: bytes that the compiler may use; None if it did not run out of them, and so did not say.
        hbm: bytes that a step moves from and to HBM; None where the program does not fit, as for the following.
        collectives: number and bytes of a step's collectives by their kinds.
        exchanged: the arrays that they take and give on a device, with their kinds.
        largest: the operations that move most bytes from and to HBM: what they are, from where, and the bytes.
    """

    topology: Topology
    total_steps: int
    batch_size: int
    has_batch_norm: bool
    parameters: int
    optimizer: int
    flops: float
    peak: int
    available: int | None
    hbm: int | None
    collectives: Mapping[str, Traffic]
    exchanged: tuple[tuple[str, str], ...]
    largest: tuple[tuple[str, str, int], ...]

    @property
    def fits(self) -> bool:
        return self.available is None and self.peak <= self.topology.chip.memory


def plan_step(config: ConfigDict, variant: Variant, topology: Topology, versions: Mapping[str, str]) -> Plan:
    """The plan of the training step of a run of the config on the variant, which `train` would compile on these chips.

    `versions` are those on which the compiled program depends. Raises UserError where the run cannot be on these chips, as
    `train` does.
    """
    mesh = make_mesh(config.mesh, topology.devices())
    check_accumulation(mesh, config.batch_size, config.accumulate_steps, config.batch_norm.group_size)
    objective = make_objective(config, variant)
    optimizer = objective.make_optimizer()
    graphdef, shapes, _ = first_state(objective, optimizer)
    shardings = state_shardings(mesh, shapes, config.optimizer.shard)
    state = jax.tree.map(laid_out, shapes, shardings)
    sample = random_batch(objective, 1, len(variant.class_names))  # its arrays have the shapes of a record
    batch = jax.tree.map(lambda x: on_all_chips(mesh, (config.batch_size, *x.shape[1:]), x.dtype), sample)
    step = jit_train_step(make_train_step(objective, graphdef, optimizer, mesh), mesh, shardings)
    traced = step.trace(state, batch)
    parameters = bytes_of_device((state.trainable, state.frozen, state.batch_stats))
    return _plan(
        traced,
        topology,
        versions,
        total_steps=objective.total_steps,
        batch_size=config.batch_size,
        has_batch_norm=bool(jax.tree.leaves(state.batch_stats)),
        parameters=parameters,
        optimizer=bytes_of_device(state) - parameters,
    )


def plan_evaluation(config: ConfigDict, variant: Variant, topology: Topology, versions: Mapping[str, str]) -> Plan:
    """The plan of an evaluation step of such a run, on a set with the variant's classes. As `plan_step`."""
    mesh = make_mesh(config.mesh, topology.devices())
    size, side = config.eval.batch_size, config.data.image_size
    check_batch(mesh, size, "eval.batch_size")
    objective = make_objective(config, variant)
    graphdef, shapes, _ = first_state(objective, optax.identity())
    parts = jax.tree.map(laid_out, shapes, state_shardings(mesh, shapes, False)).parts()
    classes, dim = len(variant.class_names), config.model.image.output_dim
    on_each = lambda shape, dtype: jax.ShapeDtypeStruct(shape, dtype, sharding=replicated(mesh))  # noqa: E731
    batch = {"images": ((size, side, side, 3), np.uint8), "labels": ((size,), np.int32), "mask": ((size,), bool)}
    learned = {"logit_scale": ()} if objective.uses_prompts else {"bias": (classes,)}
    head = {name: on_each(shape, np.float32) for name, shape in {"embeddings": (classes, dim), **learned}.items()}
    traced = make_evaluate_batch(graphdef, mesh, objective.preprocess).trace(
        parts,
        ClassHead(**head),
        {name: on_each(of, np.int32) for name, of in count_shapes(classes).items()},
        {name: on_all_chips(mesh, *of) for name, of in batch.items()},
    )
    return _plan(
        traced,
        topology,
        versions,
        total_steps=0,
        batch_size=size,
        has_batch_norm=bool(jax.tree.leaves(shapes.batch_stats)),
        parameters=bytes_of_device(parts),
        optimizer=0,
    )


def _plan(
    traced: jax.stages.Traced,
    topology: Topology,
    versions: Mapping[str, str],
    *,
    parameters: int,
    optimizer: int,
    **about,
) -> Plan:
    """The plan of a traced step; `parameters` and `optimizer` are bytes of a device."""
    name = f"{topology.name} × {topology.slices}"
    found = program(traced.lower(), name, topology.compiler_options, versions)
    devices = topology.chip.devices
    return Plan(
        topology=topology,
        parameters=devices * parameters,
        optimizer=devices * optimizer,
        flops=operations(traced.jaxpr.jaxpr) / topology.chips,
        peak=devices * found.peak,
        available=None if found.available is None else devices * found.available,
        hbm=None if found.hbm is None else devices * found.hbm,
        collectives={kind: traffic.times(devices) for kind, traffic in found.collectives.items()},
        exchanged=found.exchanged,
        largest=tuple((what, origin, devices * moved) for what, origin, moved in found.largest),
        **about,
    )


def on_all_chips(mesh: Mesh, shape: tuple[int, ...], dtype: np.dtype) -> jax.ShapeDtypeStruct:
    """An array of a batch, divided over the mesh."""
    return jax.ShapeDtypeStruct(shape, dtype, sharding=batch_sharding(mesh))


def laid_out(shape: jax.ShapeDtypeStruct, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding)


def bytes_of_device(state) -> int:
    """Bytes that each device holds of arrays that are laid out by shardings."""
    leaves = [x for x in jax.tree.leaves(state) if not jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)]
    return sum(x.dtype.itemsize * math.prod(x.sharding.shard_shape(x.shape)) for x in leaves)
