"""Measures of the imbalance of class frequencies, and the adjustment of logits for it."""

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Num

from cliptail_jax.host.arrays import as_array
from cliptail_jax.host.errors import UserError


def gini(frequency: Int[np.ndarray, " class"]) -> float:
    """The Gini coefficient, Σ_ij |f_i − f_j| / (2 C² f̄): 0 for equal frequencies, 1 − 1/C if one of C classes has all records.

    nan without records.
    """
    ascending = np.sort(frequency).astype(float)
    total, classes = ascending.sum(), len(ascending)
    if not total:
        return float("nan")
    rank = np.arange(1, classes + 1)
    return float(((2 * rank - classes - 1) * ascending).sum() / (classes * total))


def imbalance_ratio(frequency: Int[np.ndarray, " class"]) -> float:
    """The largest frequency divided by the smallest; inf if the smallest is 0, nan without records."""
    largest, smallest = frequency.max(), frequency.min()
    if not largest:
        return float("nan")
    return float(largest / smallest) if smallest else float("inf")


def log_prior(frequency: Num[np.ndarray, " class"]) -> Float[np.ndarray, " class"]:
    """log π, with the share π_c = n_c / N of the records that have class c; −inf for a class without any.

    Menon et al. (2021), "Long-tail learning via logit adjustment" (arXiv 2007.07314), train with cross-entropy of f + τ log
    π, whose minimizer f estimates log P(x | class) up to a constant for τ = 1: the class with the largest f has the smallest
    error if all classes are equally frequent. τ = 1 is the balanced softmax of Ren et al. (2020, arXiv 2007.10740). A class
    with log π = −inf has probability 0 in training, and gets no gradient. For a model that was trained without it, they
    subtract τ log π from its logits.
    """
    with np.errstate(divide="ignore"):
        return np.log(frequency) - np.log(frequency.sum())


def adjust(
    logits: Float[Any, "*batch class"], class_counts: Sequence[int] | np.ndarray, tau: float = 1.0
) -> Float[Any, "*batch class"]:
    """Logits − τ log π: those of a trained model, for equally frequent classes, without training (Menon et al., 2021).

    After ordinary cross-entropy, τ = 1 subtracts what the loss adds. `cliptail_jax.measure` finds the τ that is best on held-out
    images. A class without training images counts as one with a single image.

    Args:
        logits: of NumPy or JAX, or log-probabilities, which `np.log` makes of probabilities. Lists and tensors of PyTorch give an
            array of NumPy.
        class_counts: the number of training images of each class.

    Raises UserError if there is not one count of at least zero per class, or if logits of NumPy are nan or probabilities.

    >>> import numpy as np
    >>> from cliptail_jax import adjust
    >>> adjust(np.array([[2.0, 1.0]]), [1000, 10]).round(2).tolist()
    [[2.01, 5.62]]
    """
    if not isinstance(getattr(logits, "dtype", None), np.dtype):
        logits = as_array("logits", logits)
    if np.ma.isMaskedArray(logits) or logits.dtype.kind in "cOUS":
        raise UserError("logits are masked, or no real numbers: give an array of them")
    if isinstance(logits, np.ndarray) and np.isnan(logits).any():
        raise UserError("logits have a nan")
    if isinstance(logits, np.ndarray) and are_probabilities(logits):
        raise UserError("the logits are probabilities: give their logarithms, np.log(probabilities)")
    counts = checked_counts(class_counts, logits.shape[-1])
    check_number("τ", tau)
    is_whole = logits.dtype.kind in "iu"  # the log-prior is not, and must keep its fraction
    return logits - (tau * log_prior(np.maximum(counts, 1))).astype(np.float32 if is_whole else logits.dtype)


def are_probabilities(values: Float[np.ndarray, "*batch class"]) -> bool:
    """Whether the numbers of each example add up to 1, up to a rounding of 1 %, and none is negative."""
    return values.shape[-1] > 1 and values.min() >= 0 and bool((np.abs(values.sum(axis=-1) - 1) < 0.01).all())


def check_number(name: str, value: Any) -> None:
    """Raise UserError unless a value is a finite real number."""
    if not isinstance(value, numbers.Real | np.generic | np.ndarray) or np.ndim(value) or not np.isfinite(value):
        raise UserError(f"{name} is {value!r}: give a number")


def checked_counts(class_counts: Sequence[int] | np.ndarray, classes: int) -> Float[np.ndarray, " class"]:
    """The numbers of training images, exact up to 2^53 whatever their type. Raises UserError unless there is one from 0 on for each class."""
    if isinstance(class_counts, Mapping):
        raise UserError("class_counts are a mapping: give a list in the order of the classes of the logits")
    values = as_array("class_counts", class_counts)
    if np.ma.isMaskedArray(class_counts) or values.dtype.kind in "cSUMm":
        raise UserError("class_counts are masked, or no real numbers: give the number of training images of each class")
    try:
        counts = values.astype(np.float64)  # in a narrow type, logarithms and sums would be rounded or too large
    except (TypeError, ValueError):
        raise UserError("class_counts are no numbers: give the number of training images of each class") from None
    if counts.shape != (classes,):
        raise UserError(
            f"class_counts have the shape {list(counts.shape)}: give one number for each of the {classes:,} classes"
        )
    if not (np.isfinite(counts) & (counts >= 0)).all() or not counts.any():
        fault = "are all 0" if (counts == 0).all() else "have a negative or infinite number, or nan"
        raise UserError(f"class_counts {fault}: give the number of training images of each class")
    return counts


def class_margins(frequency: Num[np.ndarray, " class"], largest: float) -> Float[np.ndarray, " class"]:
    """Δ_c = C / n_c^(1/4), with the C for which the rarest class has the margin `largest`; 0 for a class without records.

    Cao et al. (2019), "Learning imbalanced datasets with label-distribution-aware margin loss" (arXiv 1906.07413).
    """
    is_present = frequency > 0
    return np.where(is_present, largest * (frequency[is_present].min() / np.maximum(frequency, 1)) ** 0.25, 0.0)
