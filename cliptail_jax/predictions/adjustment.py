"""Post-hoc logit adjustment: τ log n is subtracted from the logits, without training.

Menon et al. (2021), "Long-tail learning via logit adjustment" (arXiv 2007.07314), section 4.1. τ must not be chosen on the
examples on which it is judged. So adjustment is judged with a τ that is chosen on each half of the examples, on the other half.
The τ for further examples is chosen on all of them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

TAUS = np.round(np.linspace(0, 2, 21), 1)
SEED = 0  # of the halves
CHOSEN_ON = "mean_per_class"  # the measure that is largest at the chosen τ
NUMBERS_AT_ONCE = 2**22  # logits in a block, so that computations with them need little memory


class PredictedClasses(NamedTuple):
    """The most probable class of each example, and its softmax probability."""

    classes: Int[np.ndarray, " example"]
    confidence: Float[np.ndarray, " example"]


class Adjustment(NamedTuple):
    """The logit adjustment of one file.

    Attributes:
        predicted: the predictions of each half with the τ that was chosen on the other half, or of all with a given τ.
        selected_taus: the τ that was chosen on the first half, and that of the second half; or the given one.
        by_tau: the predictions for each of TAUS.
    """

    predicted: PredictedClasses
    selected_taus: tuple[float, ...]
    by_tau: Int[np.ndarray, "tau example"]


def log_frequency(frequency: Int[np.ndarray, " class"]) -> Float[np.ndarray, " class"]:
    """log n. A class without training images counts as one with a single image: with −log 0, it would win every example."""
    return np.log(np.maximum(frequency, 1))


def predict(
    logits: Float[np.ndarray, "example class"],
    shift: Float[np.ndarray, " class"] | None = None,
    tau: Float[np.ndarray, " example"] | None = None,
) -> PredictedClasses:
    """The predictions by logits, or by logits − τ · shift with the τ of each example. Of equal logits, the first wins."""
    classes, confidence = np.zeros(len(logits), np.int64), np.zeros(len(logits))
    for rows in _blocks(logits):
        block = _block(logits, rows)
        if shift is not None:
            block = block - tau[rows, None].astype(block.dtype) * shift.astype(block.dtype)
        classes[rows] = block.argmax(axis=1)
        block = block - block.max(axis=1, keepdims=True)
        confidence[rows] = 1 / np.exp(block, out=block).sum(axis=1, dtype=np.float64)
    return PredictedClasses(classes, confidence)


def predictions_by_tau(
    logits: Float[np.ndarray, "example class"],
    shift: Float[np.ndarray, " class"],
    taus: Float[np.ndarray, " tau"] = TAUS,
) -> Int[np.ndarray, "tau example"]:
    """The class with the largest logits − τ · shift, for each τ."""
    return predictions_without(logits, np.outer(taus, shift))


def predictions_without(
    logits: Float[np.ndarray, "example class"], shifts: Float[np.ndarray, "shift class"]
) -> Int[np.ndarray, "shift example"]:
    """The class with the largest logits − shift, for each of the shifts. Of equal logits, the first wins."""
    predictions = np.zeros((len(shifts), len(logits)), np.int32)
    for rows in _blocks(logits):
        block = _block(logits, rows)
        difference = np.empty_like(block)
        for number, shift in enumerate(shifts):
            np.subtract(block, shift.astype(block.dtype), out=difference)
            predictions[number, rows] = difference.argmax(axis=1)
    return predictions


def _blocks(logits: Float[np.ndarray, "example class"]) -> list[slice]:
    size = max(NUMBERS_AT_ONCE // max(logits.shape[1], 1), 1)
    return [slice(start, start + size) for start in range(0, len(logits), size)]


def _block(logits: Float[np.ndarray, "example class"], rows: slice) -> Float[np.ndarray, "row class"]:
    return logits[rows].astype(np.result_type(logits.dtype, np.float32))


def first_half(
    labels: Int[np.ndarray, " example"], keys: Sequence[str] | None = None, seed: int = SEED
) -> Bool[np.ndarray, " example"]:
    """Which examples are in the first of two random halves, whose numbers of examples of a class differ by at most one.

    Examples with the same file name in `keys`, such as crops of an image, are in the same half and count as one.
    """
    if keys is not None:
        numbers: dict[str, int] = {}  # of file names, in the order of their first examples
        images = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
        _, first_examples = np.unique(images, return_index=True)
        return first_half(labels[first_examples], seed=seed)[images]
    order = np.lexsort((np.random.default_rng(seed).random(len(labels)), labels))
    is_first = np.zeros(len(labels), bool)
    is_first[order[::2]] = True
    return is_first


def mean_per_class(
    is_correct: Bool[np.ndarray, "tau example"], labels: Int[np.ndarray, " example"]
) -> Float[np.ndarray, " tau"]:
    """The mean accuracy over classes with examples, in 0..1, for each τ."""
    examples = np.bincount(labels)
    weights = 1 / (examples[labels] * np.count_nonzero(examples))
    return is_correct @ weights


def best_tau(accuracy: Float[np.ndarray, " tau"]) -> float:
    """The smallest of TAUS with the largest accuracy, in 0..1."""
    return float(TAUS[np.flatnonzero(accuracy >= accuracy.max() - 1e-12)[0]])


def adjust(
    logits: Float[np.ndarray, "example class"],
    labels: Int[np.ndarray, " example"],
    frequency: Int[np.ndarray, " class"],
    keys: Sequence[str] | None = None,
    tau: float | None = None,
) -> Adjustment:
    """Choose τ from TAUS on each half of the examples (`first_half`), and predict the other half with it.

    The chosen τ has the largest mean accuracy over classes; if several have, it is the smallest. A given `tau` is not chosen.
    """
    shift = log_frequency(frequency)
    by_tau, first = predictions_by_tau(logits, shift), first_half(labels, keys)
    if tau is not None:
        return Adjustment(predict(logits, shift, np.full(len(labels), tau)), (tau,), by_tau)
    tau_of_example, taus = np.zeros(len(labels)), []
    for half in (first, ~first):
        accuracy = mean_per_class(by_tau[:, half] == labels[half], labels[half])
        tau = best_tau(accuracy)
        taus.append(tau)
        tau_of_example[~half] = tau
    return Adjustment(predict(logits, shift, tau_of_example), tuple(taus), by_tau)
