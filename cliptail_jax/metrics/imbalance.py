"""Measures of the imbalance of class frequencies."""

import numpy as np
from jaxtyping import Int


def gini(frequency: Int[np.ndarray, "class"]) -> float:
    """The Gini coefficient, Σ_ij |f_i − f_j| / (2 C² f̄): 0 for equal frequencies, 1 − 1/C if one of C classes has all records.

    nan without records.
    """
    ascending = np.sort(frequency).astype(float)
    total, classes = ascending.sum(), len(ascending)
    if not total:
        return float("nan")
    rank = np.arange(1, classes + 1)
    return float(((2 * rank - classes - 1) * ascending).sum() / (classes * total))


def imbalance_ratio(frequency: Int[np.ndarray, "class"]) -> float:
    """The largest frequency divided by the smallest; inf if that is 0, nan without records."""
    most, least = frequency.max(), frequency.min()
    if not most:
        return float("nan")
    return float(most / least) if least else float("inf")
