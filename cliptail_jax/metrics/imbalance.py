"""How unequal class frequencies are, in one number."""

import numpy as np
from jaxtyping import Int


def gini(frequency: Int[np.ndarray, "class"]) -> float:
    """Gini's coefficient, 0 (all classes alike) to 1 - 1/C (one class has all): mean |a - b| over all pairs, by twice the mean.

    nan where there is no record at all.
    """
    ascending = np.sort(frequency).astype(float)
    total, classes = ascending.sum(), len(ascending)
    if not total:
        return float("nan")
    rank = np.arange(1, classes + 1)
    return float(((2 * rank - classes - 1) * ascending).sum() / (classes * total))


def imbalance_ratio(frequency: Int[np.ndarray, "class"]) -> float:
    """How many times as frequent the most frequent class is as the rarest; inf where that is empty, nan where all are."""
    most, least = frequency.max(), frequency.min()
    if not most:
        return float("nan")
    return float(most / least) if least else float("inf")
