"""Rank correlations over classes, and how sure they are: percentile bootstrap intervals (Efron, 1979) that resample classes.

Everywhere here a class with nan in any of the arrays is left out, a frequency of 0 is a value like any other, an interval
covers 95 %, and resamples in which a correlation is undefined are left out of it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata


class Interval(NamedTuple):
    """Bounds of a 95 % interval; both nan where nothing could be computed."""

    low: float
    high: float


class Difference(NamedTuple):
    """A difference of two runs, first minus second, with its paired 95 % interval over classes."""

    value: float
    low: float
    high: float


def spearman(x: Float[np.ndarray, "class"], y: Float[np.ndarray, "class"]) -> float:
    """Spearman's rank correlation with average ranks; nan when a side is constant or fewer than 3 classes are left."""
    return float(_rank_correlation(*_complete(x, y)))


def bootstrap_interval(
    x: Float[np.ndarray, "class"], y: Float[np.ndarray, "class"], seed: int = 0, resamples: int = 2000
) -> Interval:
    """The 95 % interval of `spearman(x, y)`."""
    x, y = _complete(x, y)
    drawn = _resample(len(x), seed, resamples)
    return _interval(_rank_correlation(x[drawn], y[drawn]))


def paired_difference(
    x_a: Float[np.ndarray, "class"],
    y_a: Float[np.ndarray, "class"],
    x_b: Float[np.ndarray, "class"],
    y_b: Float[np.ndarray, "class"],
    seed: int = 0,
    resamples: int = 2000,
) -> Difference:
    """`spearman(x_a, y_a) - spearman(x_b, y_b)`, for example of two runs' class frequencies x and accuracies y.

    Both correlations of a resample are over the same classes, so what the runs share cancels.
    """
    x_a, y_a, x_b, y_b = _complete(x_a, y_a, x_b, y_b)
    drawn = _resample(len(x_a), seed, resamples)
    differences = _rank_correlation(x_a[drawn], y_a[drawn]) - _rank_correlation(x_b[drawn], y_b[drawn])
    return Difference(float(_rank_correlation(x_a, y_a) - _rank_correlation(x_b, y_b)), *_interval(differences))


def paired_mean_difference(
    a: Float[np.ndarray, "class"],
    b: Float[np.ndarray, "class"],
    ids: Int[np.ndarray, "group"],
    seed: int = 0,
    resamples: int = 2000,
) -> Difference:
    """`mean(a) - mean(b)` over the classes `ids` (for example the tail), in the unit of a and b; nan over no class."""
    a, b = _complete(np.asarray(a)[ids], np.asarray(b)[ids])
    if not len(a):
        return Difference(np.nan, np.nan, np.nan)
    differences = a - b
    drawn = _resample(len(differences), seed, resamples)
    return Difference(float(differences.mean()), *_interval(differences[drawn].mean(axis=1)))


def _complete(*arrays: Float[np.ndarray, "class"]) -> Float[np.ndarray, "arrays kept"]:
    stacked = np.stack([np.asarray(array, np.float64) for array in arrays])
    return stacked[:, ~np.isnan(stacked).any(axis=0)]


def _resample(classes: int, seed: int, resamples: int) -> Int[np.ndarray, "resample class"]:
    return np.random.default_rng(seed).integers(0, max(classes, 1), (resamples, classes))


def _rank_correlation(x: Float[np.ndarray, "... class"], y: Float[np.ndarray, "... class"]) -> Float[np.ndarray, "..."]:
    classes = x.shape[-1]
    if classes < 3:
        return np.full(x.shape[:-1], np.nan)
    # Average ranks are halves and their mean is known, so a constant side has a variance of exactly 0.
    x, y = (rankdata(side, axis=-1) - (classes + 1) / 2 for side in (x, y))
    spread = np.sqrt(np.sum(x * x, axis=-1) * np.sum(y * y, axis=-1))
    correlation = np.clip(np.sum(x * y, axis=-1) / np.where(spread > 0, spread, 1), -1, 1)
    return np.where(spread > 0, correlation, np.nan)


def _interval(values: Float[np.ndarray, "resample"]) -> Interval:
    defined = values[~np.isnan(values)]
    if not defined.size:
        return Interval(np.nan, np.nan)
    return Interval(*np.percentile(defined, [2.5, 97.5]).tolist())
