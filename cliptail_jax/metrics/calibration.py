"""Calibration: the difference of confidence and accuracy, counted on the device in bins of confidence by class.

Confidence is the probability that a model gives to its predicted class. Formulas: Guo et al., "On Calibration of Modern
Neural Networks", ICML 2017 (arXiv 1706.04599).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

BINS = 15
COUNTS = 4  # numbers that are counted in each bin
_EDGES = np.arange(1, BINS, dtype=np.float32) / np.float32(BINS)
_BASE = 1024  # confidences are added in units of 1 / 1024², as numbers of two digits


class Calibration(NamedTuple):
    """Sums over the examples of each true class whose confidence lies in a bin. Row sums are those of the classes."""

    examples: Int[np.ndarray, "class bin"]
    confidence: Float[np.ndarray, "class bin"]
    correct: Int[np.ndarray, "class bin"]


def softmax_confidence(logits: Float[Array, "batch class"]) -> Float[Array, " batch"]:
    """The largest softmax probability of each row, 1 / Σ_j exp(z_j − max z)."""
    return 1 / jnp.exp(logits - logits.max(-1, keepdims=True)).sum(-1)


def sigmoid_confidence(logits: Float[Array, "batch class"], bias: Float[Array, ""]) -> Float[Array, " batch"]:
    """The largest probability of each row that image and class match, 1 / (1 + exp(−max z − b)).

    SigLIP's loss trains it: z are cosines times the learned scale exp(t'), and b is the learned bias (Zhai et al.,
    "Sigmoid Loss for Language Image Pre-Training", ICCV 2023, arXiv 2303.15343). The probabilities of a row do not add
    up to 1.
    """
    return jax.nn.sigmoid(logits.max(-1) + bias)


def bin_of(confidence: Float[Array, " batch"]) -> Int[Array, " batch"]:
    """The bin of each confidence, of 15 with equal widths, each without its lower and with its upper edge."""
    return (confidence[:, None] > _EDGES).sum(-1)


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
    units = jnp.round(confidence * _BASE**2).astype(jnp.int32)
    numbers = jnp.stack([jnp.ones_like(units), correct.astype(jnp.int32), units // _BASE, units % _BASE], axis=-1)
    numbers = jnp.where(mask[:, None], numbers, 0)
    return jnp.zeros((num_classes, BINS, COUNTS), jnp.int32).at[labels, bin_of(confidence)].add(numbers)


def calibration(counts: Int[Array | np.ndarray, "class bin 4"]) -> Calibration:
    """The sums over batches of the results of `count_calibration`."""
    examples, correct, high, low = np.moveaxis(np.asarray(counts, np.int64), -1, 0)
    return Calibration(examples, (_BASE * high + low) / _BASE**2, correct)


def expected_calibration_error(sums: Calibration) -> float:
    """Σ over bins of (share of the examples in the bin) · |accuracy − mean confidence| of the bin, in 0..1.

    The bins contain the examples of all classes. nan without examples.
    """
    total = sums.examples.sum()
    # |Σ correct − Σ confidence| / N is a bin's share times the difference of its means; empty bins add nothing.
    gaps = np.abs(sums.correct.sum(axis=0) - sums.confidence.sum(axis=0))
    return float(gaps.sum() / total) if total else float("nan")


def mean_confidence(sums: Calibration) -> Float[np.ndarray, " class"]:
    """The mean confidence of the examples of each class, in 0..1; nan for a class without examples."""
    examples = sums.examples.sum(axis=1)
    return np.where(examples > 0, sums.confidence.sum(axis=1) / np.maximum(examples, 1), np.nan)
