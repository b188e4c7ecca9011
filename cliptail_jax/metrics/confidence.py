"""Confidence, and its counts in bins by class on the device, for `calibration` on the host."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from cliptail_jax.metrics.calibration import BASE, BINS, EDGES

COUNTS = 4  # numbers that are counted in each bin


def softmax_confidence(logits: Float[Array, "batch class"]) -> Float[Array, " batch"]:
    """The largest softmax probability of each row, 1 / Σ_j exp(z_j − max z)."""
    return 1 / jnp.exp(logits - logits.max(-1, keepdims=True)).sum(-1)


def sigmoid_confidence(logits: Float[Array, "batch class"], bias: Float[Array, ""]) -> Float[Array, " batch"]:
    """The largest probability of each row that image and class match, 1 / (1 + exp(−max z − b)).

    SigLIP's loss trains these: z are cosines times the learned scale exp(t'), and b is the learned bias (Zhai et al.,
    "Sigmoid Loss for Language Image Pre-Training", ICCV 2023, arXiv 2303.15343). The probabilities of a row do not add
    up to 1.
    """
    return jax.nn.sigmoid(logits.max(-1) + bias)


def bin_of(confidence: Float[Array, " batch"]) -> Int[Array, " batch"]:
    """The bin of each confidence: there are 15 of equal width, each without its lower and with its upper edge."""
    return (confidence[:, None] > EDGES).sum(-1)


def count_calibration(
    confidence: Float[Array, " batch"],
    correct: Bool[Array, " batch"],
    labels: Int[Array, " batch"],
    mask: Bool[Array, " batch"],
    num_classes: int,
) -> Int[Array, "class bin 4"]:
    """Count the examples of a batch by true class and bin of confidence, in int32, for `calibration`. Call it under jit.

    It counts all examples, the correct ones, and two digits of the confidences. Confidences are rounded to 2⁻²⁰ and
    added as integers, so their sum depends neither on the order nor on the number of devices. With two digits, two
    million examples of a class fit in a bin. Examples whose mask is False are not counted.
    """
    units = jnp.round(confidence * BASE**2).astype(jnp.int32)
    numbers = jnp.stack([jnp.ones_like(units), correct.astype(jnp.int32), units // BASE, units % BASE], axis=-1)
    numbers = jnp.where(mask[:, None], numbers, 0)
    return jnp.zeros((num_classes, BINS, COUNTS), jnp.int32).at[labels, bin_of(confidence)].add(numbers)
