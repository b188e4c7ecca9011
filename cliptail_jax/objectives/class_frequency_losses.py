"""Corrections of a softmax's loss by class frequency: the usual remedies for long-tailed classes.

Each is computed once per run, from the number of training records of each class. A class without records, for example
in a trimmed tail, has the limit of the formula for n → 0.
"""

import numpy as np
from jaxtyping import Float, Int

Frequency = Int[np.ndarray, " classes"]


def class_margins(frequency: Frequency, largest: float) -> Float[np.ndarray, " classes"]:
    """Δ_c = C / n_c^(1/4), with the C for which the rarest class has the margin `largest`; 0 for a class without records.

    Cao et al. (2019), "Learning imbalanced datasets with label-distribution-aware margin loss" (arXiv 1906.07413).
    """
    present = frequency > 0
    return np.where(present, largest * (frequency[present].min() / np.maximum(frequency, 1)) ** 0.25, 0.0)


def effective_number_weights(frequency: Frequency, beta: float) -> Float[np.ndarray, " classes"]:
    """w_c ∝ (1 − β) / (1 − β^n_c), with mean 1 over the classes that have records; 0 for the others.

    (1 − β^n) / (1 − β) is the effective number of n records: 1 for β = 0, which makes all weights 1, and n as β goes to 1,
    which makes weights ∝ 1 / n. Cui et al. (2019), "Class-balanced loss based on effective number of samples" (arXiv
    1901.05555).
    """
    present = frequency > 0
    weights = np.where(present, (1 - beta) / (1 - beta ** np.maximum(frequency, 1)), 0.0)
    return weights / weights[present].mean()
