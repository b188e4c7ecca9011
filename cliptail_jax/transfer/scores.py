"""Scores of predictions on a transfer set: accuracy, mean per-class accuracy, VOC2007's mean average precision."""

import numpy as np
from jaxtyping import Bool, Float, Int


def accuracy(predictions: Int[np.ndarray, " example"], labels: Int[np.ndarray, " example"]) -> float:
    """Share of the correctly predicted examples, in 0..1."""
    return float(np.mean(np.asarray(predictions) == np.asarray(labels)))


def mean_per_class_accuracy(predictions: Int[np.ndarray, " example"], labels: Int[np.ndarray, " example"]) -> float:
    """Mean over the classes that have examples of the share of their examples predicted right, in 0..1."""
    labels = np.asarray(labels)
    counts = np.bincount(labels)
    right = np.bincount(labels[np.asarray(predictions) == labels], minlength=len(counts))
    return float(np.mean(right[counts > 0] / counts[counts > 0]))


def eleven_point_average_precision(
    scores: Float[np.ndarray, " example"], positives: Bool[np.ndarray, " example"]
) -> float:
    """Average precision of VOC2007, in 0..1: the mean over recalls r = 0, 0.1, …, 1 of the best precision at recall ≥ r.

    Examples of equal score keep their order. At least one must be positive.
    Formula: Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", 2010, section 4.2.
    """
    found = np.cumsum(np.asarray(positives)[np.argsort(-np.asarray(scores), kind="stable")])
    precision = found / np.arange(1, len(found) + 1)
    # Recall ≥ tenths/10 in whole numbers, which rounding cannot spoil.
    return float(np.mean([precision[10 * found >= tenths * found[-1]].max() for tenths in range(11)]))


def mean_average_precision(
    scores: Float[np.ndarray, "example class"], positives: Bool[np.ndarray, "example class"]
) -> float:
    """Mean over classes of the 11-point average precision of one against the rest, in 0..1."""
    columns = zip(np.asarray(scores).T, np.asarray(positives).T, strict=True)
    return float(np.mean([eleven_point_average_precision(*column) for column in columns]))
