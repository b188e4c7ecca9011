"""A run's training step on the devices of this machine, with made-up batches: no data set is needed."""

import dataclasses
import time
from collections.abc import Callable

import jax
from jax.sharding import Mesh
from ml_collections import ConfigDict

from cliptail_jax.curation.variant import Variant
from cliptail_jax.parallel.sharding import check_accumulation, make_mesh, to_devices
from cliptail_jax.planning.placeholders import make_objective
from cliptail_jax.planning.synthetic import random_batch
from cliptail_jax.training.initialization import init_state
from cliptail_jax.training.objective import Objective
from cliptail_jax.training.state import TrainState
from cliptail_jax.training.step import jit_train_step, make_train_step

STEPS = 10


@dataclasses.dataclass(frozen=True)
class Measured:
    """What steps were found to take.

    Attributes:
        devices: their number and kind.
        batch_size: over all devices.
        seconds: of a step, the mean of ten after two others.
        peak: bytes of a device at the moment when most were in use; None where the device does not say.
    """

    devices: str
    batch_size: int
    seconds: float
    peak: int | None


def start(config: ConfigDict, variant: Variant) -> tuple[Objective, Mesh, TrainState, Callable]:
    """A run's objective, its mesh, its first state, randomly initialized, and its jitted step."""
    mesh = make_mesh(config.mesh)
    check_accumulation(mesh, config.batch_size, config.accumulate_steps, config.batch_norm.group_size)
    objective = make_objective(config, variant)
    optimizer = objective.make_optimizer()
    graphdef, state, shardings = init_state(objective, optimizer, mesh, config.seed)
    train_step = jit_train_step(make_train_step(objective, graphdef, optimizer, mesh), mesh, shardings)
    return objective, mesh, state, train_step


def measure_step(config: ConfigDict, variant: Variant) -> Measured:
    """Times the training step of a run of the config on the variant."""
    objective, mesh, state, train_step = start(config, variant)
    batch = to_devices(mesh, random_batch(objective, config.batch_size, len(variant.class_names)))
    for _ in range(2):  # the first compiles
        state, _ = train_step(state, batch)
    jax.block_until_ready(state)
    began = time.perf_counter()
    for _ in range(STEPS):
        state, _ = train_step(state, batch)
    jax.block_until_ready(state)
    seconds = (time.perf_counter() - began) / STEPS
    device = mesh.devices.flat[0]
    peak = (device.memory_stats() or {}).get("peak_bytes_in_use")
    return Measured(f"{mesh.size} × {device.device_kind}", config.batch_size, seconds, peak)
