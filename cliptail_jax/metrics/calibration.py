"""Calibration: the difference of confidence and accuracy, counted in bins of confidence by class.

Confidence is the probability that a model gives to its predicted class. Formulas: Guo et al., "On Calibration of Modern
Neural Networks", ICML 2017 (arXiv 1706.04599).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

BINS = 15
EDGES = np.arange(1, BINS, dtype=np.float32) / np.float32(BINS)
BASE = 1024  # confidences are added in units of 1 / 1024², as numbers of two digits


class Calibration(NamedTuple):
    """Sums over the examples of each true class whose confidence is in a bin. Row sums are those of the classes."""

    examples: Int[np.ndarray, "class bin"]
    confidence: Float[np.ndarray, "class bin"]
    correct: Int[np.ndarray, "class bin"]


def count_on_host(
    confidence: Float[np.ndarray, " example"],
    correct: Bool[np.ndarray, " example"],
    labels: Int[np.ndarray, " example"],
    num_classes: int,
) -> Int[np.ndarray, "class bin 4"]:
    """The counts of `count_calibration` in confidence.py, for examples that are on the host instead of the device."""
    confidence = confidence.astype(np.float32)
    units = np.round(confidence * BASE**2).astype(np.int64)
    cells = labels * BINS + np.searchsorted(EDGES, confidence)
    numbers = (np.ones_like(units), correct, units // BASE, units % BASE)
    sums = [np.bincount(cells, number, num_classes * BINS) for number in numbers]
    return np.stack(sums, axis=-1).astype(np.int64).reshape(num_classes, BINS, len(numbers))


def calibration(counts: Int[np.ndarray, "class bin 4"]) -> Calibration:
    """The sums of the results of `count_calibration` or `count_on_host`, added over batches."""
    examples, correct, high, low = np.moveaxis(np.asarray(counts, np.int64), -1, 0)
    return Calibration(examples, (BASE * high + low) / BASE**2, correct)


def expected_calibration_error(sums: Calibration) -> float:
    """Σ over bins of (share of the examples in the bin) · |accuracy − mean confidence| of the bin, in 0..1.

    The bins contain the examples of all classes. nan without examples.
    """
    return error_of_gaps(sums.correct.sum(axis=0) - sums.confidence.sum(axis=0), sums.examples.sum())


def error_of_gaps(gaps: Float[np.ndarray, " bin"], examples: int | np.integer) -> float:
    """The expected calibration error, in 0..1, from Σ correct − Σ confidence of each bin; nan without examples.

    |Σ correct − Σ confidence| / N is a bin's share times the difference of its means; empty bins add nothing.
    """
    return float(np.abs(gaps).sum() / examples) if examples else float("nan")


def mean_confidence(sums: Calibration) -> Float[np.ndarray, " class"]:
    """The mean confidence of the examples of each class, in 0..1; nan for a class without examples."""
    examples = sums.examples.sum(axis=1)
    return np.where(examples > 0, sums.confidence.sum(axis=1) / np.maximum(examples, 1), np.nan)
