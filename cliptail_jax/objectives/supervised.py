"""Softmax cross-entropy over all classes, or over a vocabulary of sampled classes."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int


def supervised_loss(
    logits: Float[Array, "batch classes"],
    labels: Int[Array, "batch"],
    mask: Bool[Array, "batch"],
    vocabulary: Bool[Array, "group classes"] | None = None,
) -> Float[Array, ""]:
    """Mean cross-entropy of the unmasked examples, in nats.

    With a `vocabulary`, the batch is cut into as many groups of neighbours as it has rows, and only a group's own
    classes compete in its softmax.
    """
    if vocabulary is not None:
        in_groups = logits.reshape(len(vocabulary), -1, logits.shape[-1])
        logits = jnp.where(vocabulary[:, None, :], in_groups, -jnp.inf).reshape(logits.shape)
    log_partition = jax.nn.logsumexp(logits, axis=-1)
    of_label = jnp.take_along_axis(logits, labels[:, None], axis=-1)[:, 0]
    # A masked example's label may lie outside of the vocabulary, where the loss is infinite: select, do not multiply.
    losses = jnp.where(mask, log_partition - jnp.where(mask, of_label, 0.0), 0.0)
    return losses.sum() / jnp.maximum(mask.sum(), 1)


def sample_vocabulary(
    key: Array,
    labels: Int[Array, "batch"],
    mask: Bool[Array, "batch"],
    weights: Float[Array, "classes"],
    size: int,
    group_size: int,
) -> Bool[Array, "group classes"]:
    """Which classes compete in each group of `group_size` neighbours (0: one group).

    All classes present in the group, plus, up to `size` in all, further ones drawn without replacement with probability
    proportional to `weights`; a class of weight 0 is never drawn. A group with more than `size` classes keeps them all.
    Drawing the largest of log-weight plus Gumbel noise is drawing without replacement (Kool et al., 2019).
    """
    groups = labels.reshape(-1, group_size or len(labels))
    valid = mask.reshape(groups.shape)
    row = jnp.arange(len(groups))[:, None]
    present = jnp.zeros((len(groups), len(weights)), bool).at[row, groups].max(valid)
    scores = jnp.log(weights) + jax.random.gumbel(key, present.shape)
    scores = jnp.where(present, jnp.inf, scores)
    threshold = jax.lax.top_k(scores, size)[0][:, -1:]
    return present | ((scores >= threshold) & (scores > -jnp.inf))


def sampling_weights(frequency: Int[Array, "classes"], sampling: str) -> Float[Array, "classes"]:
    """What sampling probability is proportional to: 1 ('uniform'), class frequency ('linear') or its root ('sqrt')."""
    exponent = {"uniform": 0.0, "sqrt": 0.5, "linear": 1.0}[sampling]
    return jnp.asarray(frequency, jnp.float32) ** exponent
