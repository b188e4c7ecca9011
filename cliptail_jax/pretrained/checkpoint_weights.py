"""The weights of a run, read from one of its checkpoints."""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx
from flax.traverse_util import flatten_dict, unflatten_dict
from jax.sharding import NamedSharding, Sharding, SingleDeviceSharding
from orbax.checkpoint import v1 as ocp

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import absolute
from cliptail_jax.models.positions import resize_positions
from cliptail_jax.parallel.sharding import replicated
from cliptail_jax.pretrained.names import is_resized
from cliptail_jax.runs import manifests


class StoredArray(NamedTuple):
    """An array of a checkpoint."""

    key: tuple[str, ...]
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class CheckpointWeights:
    """The weights in the checkpoint `step` that evaluation uses: moving averages if there are any, such as DINO's teacher."""

    step: Path

    @property
    def revision(self) -> str:
        return f"step {self.step.name}"

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the checkpoint's manifest, and so of its files."""
        return manifests.digest(self.step)

    def shapes(self, state: nnx.State) -> dict[tuple, tuple[int, ...]]:
        """The stored shapes of the parameters and statistics of `state` that the checkpoint has."""
        names = {path: tuple(map(str, path)) for path, _ in nnx.to_flat_state(state)}
        return {path: self._stored_arrays[name].shape for path, name in names.items() if name in self._stored_arrays}

    def problems(self, state: nnx.State) -> dict[tuple, str]:
        """The parameters and statistics of `state` that are missing or misshapen in the checkpoint, with the reason."""
        shapes, reasons = self.shapes(state), {}
        for path, variable in nnx.to_flat_state(state):
            name, shape = ".".join(map(str, path)), tuple(variable.shape)
            if path not in shapes:
                reasons[path] = f"it has no {name}"
            elif shapes[path] != shape and not is_resized(path, shapes[path], shape):
                reasons[path] = f"{name} has shape {list(shapes[path])}, but the model needs {list(shape)}"
        return reasons

    def check(self, state: nnx.State) -> None:
        """Raise UserError unless the checkpoint has the parameters and statistics of `state`."""
        if problems := self.problems(state):
            raise UserError(f"{self.step} does not fit the model: {next(iter(problems.values()))}")

    def read(self, state: nnx.State, shardings: nnx.State | None = None) -> nnx.State:
        """The checkpoint's values for `state`, laid out by `shardings`, or on one device; positions are resized as in open_clip.

        Raises UserError if a value is not finite, or if the checkpoint has been removed by the run's training.
        """
        flat = dict(nnx.to_flat_state(state))
        if not flat:
            return state
        layouts = dict(nnx.to_flat_state(shardings)) if shardings is not None else {}
        one_device = SingleDeviceSharding(jax.local_devices()[0])
        arrays = {path: self._stored_arrays[tuple(map(str, path))] for path in flat}
        sharding_of = {path: jax.tree.leaves(layouts[path])[0] if path in layouts else one_device for path in flat}
        resized_paths = {path for path, x in flat.items() if is_resized(path, arrays[path].shape, tuple(x.shape))}
        targets = {
            arrays[path].key: jax.ShapeDtypeStruct(
                arrays[path].shape,
                x.dtype,
                sharding=replicate(sharding_of[path]) if path in resized_paths else sharding_of[path],
            )
            for path, x in flat.items()
        }
        with self._reporting_removal():
            restored_arrays = flatten_dict(_restore(self.step, unflatten_dict(targets)))
        values = {path: restored_arrays[arrays[path].key] for path in flat}
        for path, value in values.items():
            if not all(np.isfinite(shard.data).all() for shard in value.addressable_shards if not shard.replica_id):
                raise UserError(
                    f"{self.step}: {'.'.join(map(str, path))} has NaN or infinite values: train the run again"
                )
        for path in resized_paths:
            resize = functools.partial(resize_positions, side=math.isqrt(flat[path].shape[-2]))
            values[path] = jax.jit(resize, out_shardings=sharding_of[path])(values[path])
        return nnx.from_flat_state([(path, variable.replace(values[path])) for path, variable in flat.items()])

    @functools.cached_property
    def _stored_arrays(self) -> dict[tuple[str, ...], StoredArray]:
        """The arrays of the model that evaluation uses, by their path in the model."""
        with self._reporting_removal():
            tree = ocp.metadata(absolute(self.step)).metadata
        averages = {"ema": "trainable", "ema_batch_stats": "batch_stats"}
        replaced_parts = {averages[part] for part in averages if tree.get(part)}
        arrays = {}
        for part in ("trainable", "frozen", "batch_stats", *averages):
            if part not in replaced_parts and tree.get(part):
                for key, array in flatten_dict(tree[part]).items():
                    arrays[key[:-1]] = StoredArray((part, *key), tuple(array.shape))
        return arrays

    @contextlib.contextmanager
    def _reporting_removal(self) -> Iterator[None]:
        """Raises UserError if reading fails because the checkpoint has been removed."""
        try:
            yield
        except (OSError, ValueError):
            if manifests.corruption(self.step) is None:
                raise
            raise UserError(
                f"{self.step} no longer exists: its run has a newer checkpoint; run the command again for that one"
            ) from None


def replicate(sharding: Sharding) -> Sharding:
    """The sharding that gives each of the same devices the whole array."""
    return replicated(sharding.mesh) if isinstance(sharding, NamedSharding) else sharding


def _restore(step: Path, targets: dict) -> dict:
    """Some arrays of a checkpoint, laid out as `targets` specifies."""
    context, process = ocp.Context(), jax.process_index()
    context.pytree.loading.partial_load = True
    # Orbax would wait for all processes of the program, although some may have nothing to read.
    context.multiprocessing.primary_host, context.multiprocessing.active_processes = process, {process}
    with context:
        return ocp.load(absolute(step), targets)
