"""CLIP's loss (Radford et al. 2021, arXiv 2103.00020), whose logits are split over devices and, if they are many, into blocks."""

import functools
import math

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Bool, Float

from cliptail_jax.models.cosine import normalize

LOGITS_AT_ONCE = 2**25  # of a device, by default: 128 MB
MASKED = -1e9  # a logit of which exp is 0; -inf would have no gradient


def contrastive_loss(
    images: Float[Array, "batch dim"],
    texts: Float[Array, "batch dim"],
    logit_scale: Float[Array, ""],
    mask: Bool[Array, "batch"],
    mesh: Mesh,
    block: int = 0,
) -> Float[Array, ""]:
    """Symmetric cross-entropy of the scaled cosines, exp(s) · cos, of all images with all texts, in nats.

    Image i belongs to text i. Masked pairs are neither examples nor negatives. Each device gathers all texts, and has the
    logits of its own images; of these, `block` columns at once (0: 2^25 logits), which are computed again in the backward
    pass: so its memory is O(batch / devices · block).
    """
    rows = P(mesh.axis_names)
    loss = jax.shard_map(
        functools.partial(_loss_on_device, axes=mesh.axis_names, block=block),
        mesh=mesh,
        in_specs=(rows, rows, P(), rows),
        out_specs=P(),
    )
    return loss(normalize(images), normalize(texts), jnp.exp(logit_scale.astype(jnp.float32)), mask)


def _loss_on_device(
    images: Float[Array, "rows dim"],
    texts: Float[Array, "rows dim"],
    scale: Float[Array, ""],
    mask: Bool[Array, "rows"],
    *,
    axes: tuple[str, ...],
    block: int,
) -> Float[Array, ""]:
    own = scale * (images * texts).sum(-1)
    gather = functools.partial(jax.lax.all_gather, axis_name=axes, tiled=True)
    columns = gather(texts), gather(mask)
    rows, batch = len(images), len(columns[1])
    blocks = number_of_blocks(rows, batch, block)

    @jax.checkpoint
    def add_block(of_images: Float[Array, "rows"], columns):
        """The logarithms of the rows' sums up to a block, and those of the block's columns over this device's rows."""
        texts, valid = columns
        # An accelerator's default precision would cause errors of some tenths in logits of up to 100.
        logits = scale * jnp.matmul(images, texts.T, precision=jax.lax.Precision.HIGHEST)
        of_rows = jax.nn.logsumexp(jnp.where(valid, logits, MASKED), axis=1)
        of_columns = jax.nn.logsumexp(jnp.where(mask[:, None], logits, MASKED), axis=0)
        return jnp.logaddexp(of_images, of_rows), of_columns

    nothing = jax.lax.pcast(jnp.full(rows, MASKED), axes, to="varying")
    if blocks == 1:
        of_images, of_columns = add_block(nothing, columns)
    else:
        columns = jax.tree.map(lambda x: x.reshape(blocks, -1, *x.shape[1:]), columns)
        of_images, of_columns = jax.lax.scan(add_block, nothing, columns)
    of_texts = _log_sum_over_devices(of_columns.reshape(batch), axes)

    losses = jnp.where(mask, (of_images + of_texts) / 2 - own, 0.0)
    return jax.lax.psum(losses.sum(), axes) / jnp.maximum(jax.lax.psum(mask.sum(), axes), 1)


def _log_sum_over_devices(logs: Float[Array, "batch"], axes: tuple[str, ...]) -> Float[Array, "rows"]:
    """log Σ exp of what all devices have, of each of this device's rows."""
    largest = jax.lax.pmax(jax.lax.stop_gradient(logs), axes)
    sums = jax.lax.psum_scatter(jnp.exp(logs - largest), axes, tiled=True)
    return jnp.log(sums) + jax.lax.dynamic_slice_in_dim(largest, jax.lax.axis_index(axes) * len(sums), len(sums))


def number_of_blocks(rows: int, batch: int, block: int) -> int:
    """The smallest number of equal blocks of the columns that have at most `block` each (0: 2^25 / rows)."""
    most = block or max(LOGITS_AT_ONCE // rows, 1)
    return next(n for n in range(math.ceil(batch / most), batch + 1) if batch % n == 0)
