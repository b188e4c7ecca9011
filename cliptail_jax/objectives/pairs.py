"""Losses over all pairs of a batch's images and texts, split over devices and, if there are many, into blocks."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Bool, Float, Shaped

from cliptail_jax.models.cosine import normalize

COSINES_AT_ONCE = 2**25  # of a device, by default: 128 MB


def loss_of_pairs(
    loss_of_rows: Callable[..., Float[Array, " rows"]],
    images: Float[Array, "batch dim"],
    texts: Float[Array, "batch dim"],
    scalars: tuple[Float[Array, ""], ...],
    mask: Bool[Array, " batch"],
    mesh: Mesh,
    block: int,
    extras: tuple[Shaped[Array, " batch"], ...] = (),
) -> Float[Array, ""]:
    """The mean, over the unmasked pairs, of the losses that each device computes for its own rows of the batch.

    Args:
        loss_of_rows: from the device's images and texts, of unit length, their mask and `extras`, the texts, mask and
            `extras` of the whole batch, and the `scalars` to the losses; `axes` are the names of the mesh's axes.
        block: the number of columns at a time, as `over_blocks` takes it.
        extras: further arrays of one value per pair.
    """
    axes, rows = mesh.axis_names, P(mesh.axis_names)

    def device_loss(images, texts, mask, extras, *scalars):
        gather = functools.partial(jax.lax.all_gather, axis_name=axes, tiled=True)
        columns = gather(texts), gather(mask), *map(gather, extras)
        losses = loss_of_rows(images, texts, mask, extras, columns, *scalars, axes=axes, block=block)
        losses = jnp.where(mask, losses, 0.0)
        return jax.lax.psum(losses.sum(), axes) / jnp.maximum(jax.lax.psum(mask.sum(), axes), 1)

    in_specs = (rows, rows, rows, rows, *[P()] * len(scalars))
    loss = jax.shard_map(device_loss, mesh=mesh, in_specs=in_specs, out_specs=P())
    return loss(normalize(images), normalize(texts), mask, extras, *scalars)


def over_blocks(add_block: Callable, start: Any, columns: Any, rows: int, block: int) -> tuple[Any, Any]:
    """`jax.lax.scan` of `add_block` over equal blocks of `columns`, arrays [batch, ...], of at most `block` columns.

    `add_block` is computed again in the backward pass, so that the memory of a device with `rows` rows is O(rows · block).
    """
    add_block, batch = jax.checkpoint(add_block), len(jax.tree.leaves(columns)[0])
    blocks = number_of_blocks(rows, batch, block)
    if blocks == 1:
        return add_block(start, columns)
    columns = jax.tree.map(lambda x: x.reshape(blocks, -1, *x.shape[1:]), columns)
    end, outputs = jax.lax.scan(add_block, start, columns)
    return end, jax.tree.map(lambda x: x.reshape(batch, *x.shape[2:]), outputs)


def number_of_blocks(rows: int, batch: int, block: int) -> int:
    """The smallest number of equal blocks of the columns that have at most `block` each (0: 2^25 / rows)."""
    limit = block or max(COSINES_AT_ONCE // rows, 1)
    return next(n for n in range(math.ceil(batch / limit), batch + 1) if batch % n == 0)
