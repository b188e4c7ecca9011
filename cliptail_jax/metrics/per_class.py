"""Counts of right and wrong predictions, class by class: counted on the device, read on the host."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int


def count_confusion(
    labels: Int[Array, "batch"], predictions: Int[Array, "batch"], mask: Bool[Array, "batch"], num_classes: int
) -> Int[Array, "class class"]:
    """Counts a batch's examples by true class (rows) and predicted class (columns), in int32; call it under jit.

    Examples whose mask is False (padding) are never counted, whatever their label. Sum the batches in int64 on the host.
    """
    return jnp.zeros((num_classes, num_classes), jnp.int32).at[labels, predictions].add(mask.astype(jnp.int32))


def top_k_correct(
    logits: Float[Array, "batch class"], labels: Int[Array, "batch"], mask: Bool[Array, "batch"], k: int
) -> Int[Array, ""]:
    """How many unmasked examples have their label among the k largest logits; call it under jit.

    Equal logits are ranked by class index, lowest first, as `argmax` does, so k = 1 counts what the confusion's diagonal
    counts. A logit that is nan ranks above all others. Any k beyond the number of classes counts every example.
    """
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)
    earlier = jnp.arange(logits.shape[1]) < labels[:, None]
    ahead = ~(logits <= own) | ((logits == own) & earlier)
    return jnp.sum((ahead.sum(axis=1) < k) & mask)


def accuracy(confusion: Int[np.ndarray, "class class"]) -> float:
    """Share of all examples that are predicted right, in 0..1; nan without examples."""
    confusion = np.asarray(confusion, np.int64)
    total = confusion.sum()
    return float(np.trace(confusion) / total) if total else float("nan")


def per_class_accuracy(confusion: Int[np.ndarray, "class class"]) -> Float[np.ndarray, "class"]:
    """Share of each class's examples that are predicted right, in 0..1; nan for a class without examples.

    `confusion` counts examples, rows by true class, columns by predicted class.
    """
    confusion = np.asarray(confusion, np.int64)
    examples = confusion.sum(axis=1)
    return np.where(examples > 0, np.diagonal(confusion) / np.maximum(examples, 1), np.nan)


def per_class_predictions(confusion: Int[np.ndarray, "class class"]) -> Int[np.ndarray, "class"]:
    """How many examples are predicted as each class, rightly or wrongly."""
    return np.asarray(confusion, np.int64).sum(axis=0)
