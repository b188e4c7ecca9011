"""Objectives on made-up records, and a few of their training steps on one batch."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from cliptail_jax.config.fields import typed
from cliptail_jax.curation.variant import Variant, open_variant
from cliptail_jax.jobs.train import train
from cliptail_jax.objectives import TrainingConfig, make_objective
from cliptail_jax.parallel.sharding import batch_sharding, replicated, to_devices
from cliptail_jax.planning.synthetic import synthetic_variant
from cliptail_jax.training.initialization import init_state
from cliptail_jax.training.objective import Objective
from cliptail_jax.training.state import TrainState, state_shardings
from cliptail_jax.training.step import make_train_step
from tests.tiny_runs import RESNET, devices, tiny

CLASSES, STEPS_PER_EPOCH = 12, 10


def sections(config: ConfigDict) -> TrainingConfig:
    """The config's typed sections, without a check of their values."""
    return typed(TrainingConfig(), config)


def sgd_config(family: ModuleType, data_dir: Path, arguments: str = "", **changes) -> ConfigDict:
    """The same in batches of 32, whose update is -0.1 times the gradient, with a ResNet if it is SL."""
    config = tiny(family, data_dir, arguments)
    config.batch_size = 32
    if config.objective == "supervised":
        config.model.image.update(RESNET)
    config.optimizer.update({"name": "sgd", "learning_rate": 0.1, "weight_decay": 0.0, "sgd": {"momentum": 0.0}})
    config.optimizer.ema_decay = 0.75  # everywhere, for the runs to share a compiled initialization
    config.update_from_flattened_dict({key.replace("__", "."): value for key, value in changes.items()})
    return config


def synthetic_objective(
    config: ConfigDict, steps_per_epoch: int = STEPS_PER_EPOCH, frequency: Sequence[int] = ()
) -> Objective:
    """The config's objective, without text input, on records without images, by default equally many of each of `CLASSES` classes."""
    variant = synthetic_variant(sum(frequency) or steps_per_epoch * config.batch_size, len(frequency) or CLASSES)
    if frequency:
        labels, names = np.repeat(np.arange(len(frequency)), frequency), variant.class_names
        variant = Variant(variant.source, variant.records, labels, names, labels, variant.captions)
    return make_objective(sections(config), variant, shapes_only=True)


def objective_of(config: ConfigDict) -> Objective:
    """The objective of a config, on its data."""
    return make_objective(sections(config), open_variant(sections(config).data))


def trained_anew(config: ConfigDict, tmp_path_factory, number: int = 1) -> tuple[ConfigDict, Path]:
    """Trains a run on a number of devices in a new directory; returns the config and the directory."""
    workdir = tmp_path_factory.mktemp("runs") / "run"
    with devices(number):
        train(config, workdir)
    return config, workdir


def mesh_of(devices: int, fsdp: int = 1) -> Mesh:
    """A mesh of the first devices, as `make_mesh` makes one of all."""
    return Mesh(np.reshape(jax.devices("cpu")[:devices], (-1, fsdp)), ("data", "fsdp"))


def masked_noise(config: ConfigDict) -> dict[str, np.ndarray]:
    """A batch of noise for the config's objective, a seventh of it masked."""
    rng, size = np.random.default_rng(0), config.batch_size
    batch = {
        "images": rng.integers(0, 256, (size, 32, 32, 3), np.uint8),
        "labels": rng.integers(0, CLASSES, size, np.int32),
        "mask": np.arange(size) % 7 > 0,
    }
    return batch if config.objective == "supervised" else batch | {"text": rng.integers(0, 500, (size, 8), np.int32)}


@dataclasses.dataclass
class Trained:
    """A few steps of a run.

    Attributes:
        step: the jitted step, from a state and a batch on the devices to the next state and its metrics.
        batch: the batch of every step, on the devices.
        states: the initial state, and the state after each step.
        metrics: the metrics of each step.
    """

    step: Callable
    batch: dict
    states: list[TrainState]
    metrics: list[dict[str, np.ndarray]]

    @property
    def numbers(self) -> list[np.ndarray]:
        """All arrays that the last step has computed."""
        end = self.states[-1]
        parts = (self.metrics[-1], end.trainable, end.batch_stats, end.opt_state, end.ema, end.ema_batch_stats)
        return [np.asarray(leaf) for leaf in jax.tree.leaves(parts)]


def train_steps(
    config: ConfigDict,
    batch: dict,
    steps: int = 2,
    devices: int = 1,
    fsdp: int = 1,
    steps_per_epoch: int = STEPS_PER_EPOCH,
    change: Callable[[TrainState], TrainState] = lambda state: state,
    frequency: Sequence[int] = (),
) -> Trained:
    """A few steps on one batch, on the first devices, from the initial state as `change` returns it."""
    mesh, objective = mesh_of(devices, fsdp), synthetic_objective(config, steps_per_epoch, frequency)
    optimizer = objective.make_optimizer()
    graphdef, state, _ = init_state(objective, optimizer, mesh_of(1), config.seed)  # compiled once for all meshes
    shardings = state_shardings(mesh, state, config.optimizer.shard)
    state = change(jax.device_put(state, shardings))
    step = jax.jit(
        make_train_step(objective, graphdef, optimizer, mesh),
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
    )
    trained = Trained(step, to_devices(mesh, batch), [state], [])
    for _ in range(steps):
        state, metrics = step(state, trained.batch)
        trained.states.append(state)
        trained.metrics.append({name: np.asarray(value) for name, value in metrics.items()})
    return trained


def assert_close(found: Trained, expected: Trained, rtol: float = 1e-5) -> None:
    """Assert that two runs have computed the same, up to the rounding of sums in another order."""
    for a, b in zip(found.numbers, expected.numbers, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())
