"""CLIP's loss: which caption belongs to which image, and the other way round (Radford et al., 2021)."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float


def contrastive_loss(
    logits: Float[Array, "image text"],
    mask: Bool[Array, "batch"],
) -> Float[Array, ""]:
    """Symmetric cross-entropy of the scaled cosines of all images with all texts, in nats.

    Image i belongs to text i. Masked pairs are neither examples nor negatives.
    """
    own = jnp.diagonal(logits)

    def one_way(rows: Float[Array, "batch batch"]) -> Float[Array, ""]:
        log_partition = jax.nn.logsumexp(jnp.where(mask[None, :], rows, -jnp.inf), axis=-1)
        return jnp.where(mask, log_partition - own, 0.0).sum() / jnp.maximum(mask.sum(), 1)

    return (one_way(logits) + one_way(logits.T)) / 2
