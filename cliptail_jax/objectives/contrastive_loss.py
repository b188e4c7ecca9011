"""CLIP's loss (Radford et al. 2021, arXiv 2103.00020)."""

import functools

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Bool, Float

from cliptail_jax.objectives.pairs import cosines, loss_of_pairs, over_blocks

MASKED = -1e9  # a logit of which exp is 0; -inf would have no gradient


def contrastive_loss(
    images: Float[Array, "batch dim"],
    texts: Float[Array, "batch dim"],
    logit_scale: Float[Array, ""],
    mask: Bool[Array, " batch"],
    mesh: Mesh,
    block: int = 0,
    text_to_image: bool = True,
) -> Float[Array, ""]:
    """Symmetric cross-entropy of the scaled cosines, exp(s) · cos, of all images with all texts, in nats.

    Image i belongs to text i. Without `text_to_image`, only that of texts given an image. Masked pairs are neither examples
    nor negatives. Each device gathers all texts, and has the logits of its own images; of these, `block` columns at once (0:
    2^25 logits), which are computed again in the backward pass: so its memory is O(batch / devices · block).
    """
    scale = jnp.exp(logit_scale.astype(jnp.float32))
    loss_of_rows = functools.partial(_loss_of_rows, text_to_image=text_to_image)
    return loss_of_pairs(loss_of_rows, images, texts, (scale,), mask, mesh, block)


def _loss_of_rows(
    images: Float[Array, "rows dim"],
    texts: Float[Array, "rows dim"],
    mask: Bool[Array, " rows"],
    columns: tuple[Float[Array, "batch dim"], Bool[Array, " batch"]],
    scale: Float[Array, ""],
    *,
    axes: tuple[str, ...],
    block: int,
    text_to_image: bool,
) -> Float[Array, " rows"]:
    own, rows = scale * (images * texts).sum(-1), len(images)

    def add_block(of_images: Float[Array, " rows"], columns):
        """The logarithms of the rows' sums up to a block, and those of the block's columns over this device's rows."""
        texts, valid = columns
        logits = scale * cosines(images, texts)
        of_rows = jax.nn.logsumexp(jnp.where(valid, logits, MASKED), axis=1)
        of_columns = jax.nn.logsumexp(jnp.where(mask[:, None], logits, MASKED), axis=0) if text_to_image else None
        return jnp.logaddexp(of_images, of_rows), of_columns

    nothing = jax.lax.pcast(jnp.full(rows, MASKED), axes, to="varying")
    of_images, of_columns = over_blocks(add_block, nothing, columns, rows, block)
    if not text_to_image:
        return of_images - own
    of_texts = _log_sum_over_devices(of_columns, axes)
    return (of_images + of_texts) / 2 - own


def _log_sum_over_devices(logs: Float[Array, " batch"], axes: tuple[str, ...]) -> Float[Array, " rows"]:
    """log Σ exp of what all devices have, of each of this device's rows."""
    largest = jax.lax.pmax(jax.lax.stop_gradient(logs), axes)
    sums = jax.lax.psum_scatter(jnp.exp(logs - largest), axes, tiled=True)
    return jnp.log(sums) + jax.lax.dynamic_slice_in_dim(largest, jax.lax.axis_index(axes) * len(sums), len(sums))
