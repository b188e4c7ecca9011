"""DINO's loss: each view predicts the teacher's balanced assignment of the others to prototypes.

Caron et al. 2021, arXiv 2104.14294; balanced as in SwAV (Caron et al. 2020, arXiv 2006.09882) rather than centred. The
prototypes may be a sample of the head's: all functions here take them as the last axis, whichever they are.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from cliptail_jax.errors import UserError


def sinkhorn_knopp(
    logits: Float[Array, "batch prototypes"],
    temperature: float = 0.04,
    iterations: int = 3,
    mask: Bool[Array, "batch"] | None = None,
) -> Float[Array, "batch prototypes"]:
    """The teacher's targets: softmax(logits / temperature), balanced so that the batch uses all prototypes alike.

    Each of the `iterations` first gives every prototype the share 1/K of the whole batch, then every sample the share
    1/B (Cuturi 2013, arXiv 1306.0895). The result is scaled to B: each sample's assignment sums to 1, and each
    prototype's over the batch comes the nearer to B/K the more iterations there are. Samples whose `mask` is False,
    padding, have no part in the prototypes' shares.

    In float32 and by logarithms, where no prototype's share underflows. No gradient flows through.
    """
    log_share = jax.nn.log_softmax(jax.lax.stop_gradient(logits).astype(jnp.float32) / temperature, axis=1)
    # Where all is padding everything counts, so that targets which nobody uses are at least finite.
    counted = None if mask is None else (mask | ~mask.any())[:, None]
    for _ in range(iterations):
        # The factors 1/K and 1/B would shift all logarithms alike, which normalising the samples undoes.
        log_share -= jax.nn.logsumexp(log_share, axis=0, keepdims=True, where=counted)
        log_share -= jax.nn.logsumexp(log_share, axis=1, keepdims=True)
    return jnp.exp(log_share)


def sample_prototypes(key: Array, total: int, size: int) -> Int[Array, "size"]:
    """Which `size` of `total` prototypes compete in a step, uniform without replacement; a function of `key` alone.

    Raises UserError if there are not as many.
    """
    if not 0 < size <= total:
        raise UserError(
            f"vocabulary.size={size} prototypes cannot be drawn from {total}: choose 1 to {total}, or 0 for all of them"
        )
    return jax.random.permutation(key, total)[:size]


def dino_loss(
    student_logits: Float[Array, "views batch prototypes"],
    targets: Float[Array, "globals batch prototypes"],
    temperature: float = 0.1,
    mask: Bool[Array, "batch"] | None = None,
) -> Float[Array, ""]:
    """Cross-entropy of the student's softmax(logits / temperature) with the teacher's targets, in nats.

    The mean over the examples whose `mask` is True (None: all) and over all pairs of a view v and a global view g ≠ v;
    the student's first views are the global ones, in the order of `targets`. No gradient flows into the targets.
    """
    log_probabilities = jax.nn.log_softmax(student_logits.astype(jnp.float32) / temperature, axis=-1)
    fixed = jax.lax.stop_gradient(targets).astype(jnp.float32)
    # An accelerator's default precision would blur logarithms of many nats.
    losses = -jnp.einsum("gbk,vbk->bgv", fixed, log_probabilities, precision=jax.lax.Precision.HIGHEST)
    different = ~jnp.eye(len(targets), len(student_logits), dtype=bool)
    of_example = jnp.where(different, losses, 0.0).sum((1, 2)) / different.sum()
    if mask is None:
        return of_example.mean()
    return jnp.where(mask, of_example, 0.0).sum() / jnp.maximum(mask.sum(), 1)
