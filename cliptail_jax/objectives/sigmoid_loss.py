"""SigLIP's loss (Zhai et al. 2023, arXiv 2303.15343)."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Bool, Float

from cliptail_jax.objectives.pairs import cosines, loss_of_pairs, over_blocks


def sigmoid_loss(
    images: Float[Array, "batch dim"],
    texts: Float[Array, "batch dim"],
    logit_scale: Float[Array, ""],
    logit_bias: Float[Array, ""],
    mask: Bool[Array, " batch"],
    mesh: Mesh,
    block: int = 0,
) -> Float[Array, ""]:
    """−(1/B) Σ_ij log σ(z_ij (t cos_ij + b)) over all images i and texts j, in nats; t = exp(`logit_scale`), b = `logit_bias`.

    z is 1 of an image with its own text, i = j, and −1 of all other pairs: each pair is judged alone, without a softmax over
    the batch. Masked pairs are neither examples nor negatives, and B does not count them. Memory as for
    `contrastive_loss`.
    """
    scale, bias = jnp.exp(logit_scale.astype(jnp.float32)), logit_bias.astype(jnp.float32)
    return loss_of_pairs(_loss_of_rows, images, texts, (scale, bias), mask, mesh, block)


def _loss_of_rows(
    images: Float[Array, "rows dim"],
    texts: Float[Array, "rows dim"],
    mask: Bool[Array, " rows"],
    columns: tuple[Float[Array, "batch dim"], Bool[Array, " batch"]],
    scale: Float[Array, ""],
    bias: Float[Array, ""],
    *,
    axes: tuple[str, ...],
    block: int,
) -> Float[Array, " rows"]:
    """Σ_j softplus(l_ij) − l_ii, since −log σ(−l) = softplus(l) and −log σ(l) = softplus(l) − l."""
    own, rows = scale * (images * texts).sum(-1) + bias, len(images)

    def add_block(sums: Float[Array, " rows"], columns):
        texts, valid = columns
        logits = scale * cosines(images, texts) + bias
        return sums + jnp.where(valid, jax.nn.softplus(logits), 0.0).sum(1), None

    sums, _ = over_blocks(add_block, jax.lax.pcast(jnp.zeros(rows), axes, to="varying"), columns, rows, block)
    return sums - own
