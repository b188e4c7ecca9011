"""Measures of the imbalance of class frequencies, and the adjustment of logits for it."""

import numpy as np
from jaxtyping import Float, Int


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


def log_prior(frequency: Int[np.ndarray, " class"]) -> Float[np.ndarray, " class"]:
    """log π, with the share π_c = n_c / N of the records that have class c; −inf for a class without any.

    Menon et al. (2021), "Long-tail learning via logit adjustment" (arXiv 2007.07314), train with cross-entropy of f + τ log
    π, whose minimizer f estimates log P(x | class) up to a constant for τ = 1: the class with the largest f has the smallest
    error if all classes are equally frequent. τ = 1 is the balanced softmax of Ren et al. (2020, arXiv 2007.10740). A class
    with log π = −inf has probability 0 in training, and gets no gradient. For a model that was trained without it, they
    subtract τ log π from its logits.
    """
    with np.errstate(divide="ignore"):
        return np.log(frequency) - np.log(frequency.sum())
