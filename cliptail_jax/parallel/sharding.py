"""One mesh with the axes `data` and `fsdp`: batches are split over both, parameters over `fsdp`."""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import PyTree

from cliptail_jax.config.sections import MeshAxes
from cliptail_jax.host.errors import UserError

SMALL = 2**14  # arrays of up to this size are not worth a collective of their own


def make_mesh(axes: MeshAxes, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh of the devices, by default of all, in order of processes: each process has a block of neighbouring rows.

    Raises UserError if the sizes of the axes do not fit the number of devices.
    """
    devices = sorted(jax.devices() if devices is None else devices, key=lambda d: (d.process_index, d.id))
    data = axes.data if axes.data > 0 else len(devices) // axes.fsdp
    if data * axes.fsdp != len(devices):
        raise UserError(f"mesh.data={axes.data} x mesh.fsdp={axes.fsdp} does not cover the {len(devices)} devices")
    # Explicit axis types would refuse to cut a sharded batch into groups.
    return Mesh(np.reshape(devices, (data, axes.fsdp)), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, P(("data", "fsdp")))


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, P())


def on_mesh(mesh: Mesh, function: Callable) -> Callable:
    """The function, in which attention and convolutions know the devices, on which their implementations depend."""

    @functools.wraps(function)
    def call(*arguments):
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return function(*arguments)

    return call


def parameter_shardings(mesh: Mesh, arrays):
    """The sharding of each array: the largest axis that `fsdp` divides is split, all else is replicated."""
    return jax.tree.map(lambda x: _split(mesh, x, ("fsdp",)), arrays)


def update_shardings(mesh: Mesh, arrays):
    """The shardings of gradients and moments if each device updates a part of the parameters (ZeRO-1).

    Arrays of more than `SMALL` numbers are split over all devices, others like their parameters (Rajbhandari et al. 2020,
    arXiv 1910.02054).
    """
    return jax.tree.map(lambda x: _split(mesh, x, mesh.axis_names if x.size > SMALL else ("fsdp",)), arrays)


def _split(mesh: Mesh, array, axes: tuple[str, ...]) -> NamedSharding:
    parts = math.prod(mesh.shape[axis] for axis in axes)
    divisible = [axis for axis, size in enumerate(array.shape) if size >= parts and size % parts == 0]
    if parts == 1 or not divisible or jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
        return replicated(mesh)
    largest = max(divisible, key=lambda axis: array.shape[axis])
    return NamedSharding(mesh, P(*[None] * largest, axes))


def check_batch(mesh: Mesh, batch_size: int, key: str) -> None:
    if batch_size % mesh.size:
        raise UserError(f"{key}={batch_size} is not divisible by the {mesh.size} devices")


def check_accumulation(mesh: Mesh, batch_size: int, accumulate_steps: int, group_size: int) -> None:
    """Raises UserError unless micro-batches divide evenly over devices and contain whole batch-norm groups."""
    check_batch(mesh, batch_size // accumulate_steps, "batch_size / accumulate_steps")
    share = batch_size // (mesh.size * accumulate_steps)
    if accumulate_steps > 1 and group_size and share % group_size:
        raise UserError(
            f"batch_norm.group_size={group_size} does not divide the {share} examples that each of {mesh.size} devices has "
            f"in one of {accumulate_steps} micro-batches: choose a divisor of {share}"
        )


def local_rows(batch_size: int) -> slice:
    """The rows of each global batch that this process loads."""
    rows = batch_size // jax.process_count()
    return slice(jax.process_index() * rows, (jax.process_index() + 1) * rows)


def to_devices(mesh: Mesh, batch: PyTree[np.ndarray]) -> PyTree[jax.Array]:
    """The global batch on the devices, from the rows that each process has loaded."""
    sharding = batch_sharding(mesh)
    return jax.tree.map(lambda array: jax.make_array_from_process_local_data(sharding, array), batch)
