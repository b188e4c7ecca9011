"""Counts correct and wrong predictions by class on the device, for the host."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int


def count_confusion(
    labels: Int[Array, " batch"], predictions: Int[Array, " batch"], mask: Bool[Array, " batch"], num_classes: int
) -> Int[Array, "class class"]:
    """Count the examples of a batch by true class (rows) and predicted class (columns), in int32. Call it under jit.

    Examples whose mask is False (padding) are not counted, whatever their label. Sum batches in int64 on the host.
    """
    return jnp.zeros((num_classes, num_classes), jnp.int32).at[labels, predictions].add(mask.astype(jnp.int32))


def top_k_correct(
    logits: Float[Array, "batch class"], labels: Int[Array, " batch"], mask: Bool[Array, " batch"], k: int
) -> Int[Array, ""]:
    """The number of unmasked examples with their label among the k largest logits. Call it under jit.

    Equal logits are ranked by class index, lowest first, as by `argmax`, so k = 1 agrees with the diagonal of the
    confusion matrix. A logit that is nan ranks above all others. If k is at least the number of classes, all examples count.
    """
    label_logits = jnp.take_along_axis(logits, labels[:, None], axis=1)
    precedes_label = jnp.arange(logits.shape[1]) < labels[:, None]
    ranks_above = ~(logits <= label_logits) | ((logits == label_logits) & precedes_label)
    return jnp.sum((ranks_above.sum(axis=1) < k) & mask)
