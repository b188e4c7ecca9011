"""Rank correlations, slopes and means over classes, with percentile bootstrap intervals (Efron, 1979) that resample classes.

In all functions, classes with nan in any of the arrays are left out, a frequency of 0 is a value like any other, intervals
cover 95 %, and resamples in which a statistic is undefined are ignored. scipy.stats.bootstrap is not used, because it
cannot resample seeds and classes together.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

RESAMPLES = 2000
PerClass = Float[np.ndarray, "class"]
# Of x and y, over their last axis.
Statistic = Callable[[Float[np.ndarray, "... class"], Float[np.ndarray, "... class"]], Float[np.ndarray, "..."]]


class Interval(NamedTuple):
    """Bounds of a 95 % interval; both nan if undefined."""

    low: float
    high: float


class Comparison(NamedTuple):
    """A statistic of two runs a and b over the same classes."""

    a: float
    b: float
    resampled: Float[np.ndarray, "resample"]  # a − b in each resample of the classes


class Difference(NamedTuple):
    """A difference of two runs, first minus second, with its 95 % interval."""

    value: float
    low: float
    high: float


def spearman(x: PerClass, y: PerClass) -> float:
    """Spearman's rank correlation, ties averaged; nan if a side is constant or fewer than 3 classes are left."""
    return float(rank_correlation(*_complete(x, y)))


def slope(x: PerClass, y: PerClass) -> float:
    """The slope of the least-squares line of y over x; nan if x is constant or fewer than 3 classes are left."""
    return float(line_slope(*_complete(x, y)))


def decades(values: PerClass) -> PerClass:
    """log10 of numbers, and nan for 0, which has none: slopes leave it out.

    The slope of accuracy in percent over the decades of class frequency is *points per decade*, the line that Udandarao et
    al. (2024, arXiv 2404.04125) fit to concepts.
    """
    values = np.asarray(values, np.float64)
    return np.log10(np.where(values > 0, values, np.nan))


def bootstrap_interval(x: PerClass, y: PerClass, statistic: Statistic | None = None) -> Interval:
    """The 95 % interval of a statistic of x and y, by default of `spearman(x, y)`."""
    x, y = _complete(x, y)
    chosen = _resample(len(x))
    return _interval((statistic or rank_correlation)(x[chosen], y[chosen]))


def compare(statistic: Statistic, x_a: PerClass, y_a: PerClass, x_b: PerClass, y_b: PerClass) -> Comparison:
    """Compare a statistic of x_a and y_a with that of x_b and y_b, such as those of class frequencies x and accuracies y.

    Both statistics of a resample are over the same classes, so effects that the runs share cancel.
    """
    x_a, y_a, x_b, y_b = _complete(x_a, y_a, x_b, y_b)
    chosen = _resample(len(x_a))
    resampled = statistic(x_a[chosen], y_a[chosen]) - statistic(x_b[chosen], y_b[chosen])
    return Comparison(float(statistic(x_a, y_a)), float(statistic(x_b, y_b)), resampled)


def compare_means(a: PerClass, b: PerClass, seed: int = 0) -> Comparison:
    """Compare the means of a and b over classes; nan over no class."""
    a, b = _complete(a, b)
    if not len(a):
        return Comparison(np.nan, np.nan, np.full(RESAMPLES, np.nan))
    chosen = _resample(len(a), seed)
    return Comparison(float(a.mean()), float(b.mean()), (a - b)[chosen].mean(axis=1))


def difference(comparisons: Sequence[Comparison]) -> Difference:
    """The mean of a − b over comparisons: one of a pair of runs, or several of the pair trained with different seeds.

    The interval resamples seeds and classes, the same classes for all seeds of a resample. It thus contains the effect
    of a seed on all its classes, and that of a class on all seeds in which it has the same id. A few seeds say little
    about the variance over seeds: in a simulation with 33 classes, independent for each seed, the nominal 95 % interval
    of three seeds covers 100, 98, 94 and 81 % if the standard deviation over seeds is 0, 1, 2 and 4 times that over
    classes, and that of two seeds 98, 92, 84 and 75 %.
    """
    resampled = np.stack([comparison.resampled for comparison in comparisons])
    chosen = np.random.default_rng(0).integers(0, len(comparisons), resampled.shape)
    means = np.take_along_axis(resampled, chosen, axis=0).mean(axis=0)
    return Difference(float(np.mean([one.a - one.b for one in comparisons])), *_interval(means))


def _complete(*arrays: PerClass) -> Float[np.ndarray, "arrays kept"]:
    stacked = np.stack([np.asarray(array, np.float64) for array in arrays])
    return stacked[:, ~np.isnan(stacked).any(axis=0)]


def _resample(classes: int, seed: int = 0) -> Int[np.ndarray, "resample class"]:
    return np.random.default_rng(seed).integers(0, max(classes, 1), (RESAMPLES, classes))


def line_slope(x: Float[np.ndarray, "... class"], y: Float[np.ndarray, "... class"]) -> Float[np.ndarray, "..."]:
    """The slope of `slope`, vectorized over resamples."""
    if x.shape[-1] < 3:
        return np.full(x.shape[:-1], np.nan)
    x, y = (side - side.mean(axis=-1, keepdims=True) for side in (x, y))
    spread = np.sum(x * x, axis=-1)
    constant = np.ptp(x, axis=-1) < 1e-9  # but for rounding
    return np.where(constant, np.nan, np.sum(x * y, axis=-1) / np.where(constant, 1, spread))


def rank_correlation(x: Float[np.ndarray, "... class"], y: Float[np.ndarray, "... class"]) -> Float[np.ndarray, "..."]:
    """Spearman's correlation, vectorized over resamples, which scipy.stats.spearmanr is not."""
    classes = x.shape[-1]
    if classes < 3:
        return np.full(x.shape[:-1], np.nan)
    # Average ranks are halves and their mean is known, so a constant side has a variance of exactly 0.
    from scipy.stats import rankdata  # which is slow to import

    x, y = (rankdata(side, axis=-1) - (classes + 1) / 2 for side in (x, y))
    spread = np.sqrt(np.sum(x * x, axis=-1) * np.sum(y * y, axis=-1))
    correlation = np.clip(np.sum(x * y, axis=-1) / np.where(spread > 0, spread, 1), -1, 1)
    return np.where(spread > 0, correlation, np.nan)


def _interval(values: Float[np.ndarray, "resample"]) -> Interval:
    defined = values[~np.isnan(values)]
    return Interval(*np.percentile(defined, [2.5, 97.5]).tolist()) if defined.size else Interval(np.nan, np.nan)
