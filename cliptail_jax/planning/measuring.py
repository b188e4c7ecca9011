"""Measures a run's training step on the devices of this machine with synthetic batches, which need no data set."""

import dataclasses
import time
from collections.abc import Callable

import jax
from jax.sharding import Mesh

from cliptail_jax.parallel.sharding import check_accumulation, make_mesh, to_devices
from cliptail_jax.planning.synthetic import random_batch
from cliptail_jax.training.initialization import init_state
from cliptail_jax.training.objective import Objective
from cliptail_jax.training.state import TrainState
from cliptail_jax.training.step import jit_train_step, make_train_step

STEPS = 10


@dataclasses.dataclass(frozen=True)
class MeasuredStep:
    """Measurements of a training step.

    Attributes:
        devices: the number and kind of the devices.
        batch_size: the batch over all devices.
        seconds: the mean time of ten steps, after two others.
        peak: the largest number of bytes in use on a device; None if the device does not report it.
    """

    devices: str
    batch_size: int
    seconds: float
    peak: int | None


def start(objective: Objective) -> tuple[Mesh, TrainState, Callable]:
    """A run's mesh, its randomly initialized state, and its jitted step."""
    config, optimizer = objective.config, objective.make_optimizer()
    mesh = make_mesh(config.mesh)
    check_accumulation(mesh, config.batch_size, config.accumulate_steps, config.batch_norm.group_size)
    graphdef, state, shardings = init_state(objective, optimizer, mesh, config.seed)
    return mesh, state, jit_train_step(make_train_step(objective, graphdef, optimizer, mesh), mesh, shardings)


def measure_step(objective: Objective) -> MeasuredStep:
    """Time the training step of the objective's run."""
    mesh, state, train_step = start(objective)
    batch_size, classes = objective.config.batch_size, len(objective.variant.class_names)
    batch = to_devices(mesh, random_batch(objective, batch_size, classes))
    for _ in range(2):  # the first compiles
        state, _ = train_step(state, batch)
    jax.block_until_ready(state)
    start_time = time.perf_counter()
    for _ in range(STEPS):
        state, _ = train_step(state, batch)
    jax.block_until_ready(state)
    seconds = (time.perf_counter() - start_time) / STEPS
    device = mesh.devices.flat[0]
    peak = (device.memory_stats() or {}).get("peak_bytes_in_use")
    return MeasuredStep(f"{mesh.size} × {device.device_kind}", batch_size, seconds, peak)
