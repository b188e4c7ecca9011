"""Rank correlations and slopes over classes, without nan. For correlations, a frequency of 0 is a value like any other."""

import functools

import numpy as np
from jaxtyping import Float, Num


def decades(values: Num[np.ndarray, " class"]) -> Float[np.ndarray, " class"]:
    """log10 of numbers; nan for 0, and slopes leave such classes out.

    The slope of accuracy in percent over the decades of class frequency is *points per decade*, the line that Udandarao et
    al. (2024, arXiv 2404.04125) fit to concepts.
    """
    values = np.asarray(values, np.float64)
    return np.log10(np.where(values > 0, values, np.nan))


def rank_correlation(
    x: Num[np.ndarray, "... class"],
    y: Num[np.ndarray, "... class"],
    times: Float[np.ndarray, "resample class"] | None = None,
) -> Float[np.ndarray, "..."] | float:
    """Spearman's correlation, vectorized over resamples, unlike scipy.stats.spearmanr.

    Ties get their mean rank. The correlation is nan if x or y is constant, or if there are fewer than 3 classes. With `times`,
    each resample has each class so many times, and x and y are [1, class].

    Example:
        rank_correlation(frequency, accuracy)  # corr_acc of a run
    """
    if times is not None:
        x, y = (ranks_from_mean(side[0], times) for side in (x, y))
        return _correlation(x, y, times)
    classes = x.shape[-1]
    if classes < 3:
        return np.full(x.shape[:-1], np.nan)
    # Ranks and their mean are multiples of a half, so a constant side has a variance of exactly 0.
    x, y = (mean_ranks(side) - (classes + 1) / 2 for side in (x, y))
    return _correlation(x, y)


def mean_ranks(values: Num[np.ndarray, "... class"]) -> Float[np.ndarray, "... class"]:
    """Ranks from 1 along the last axis, where ties get their mean rank; scipy.stats, which has them, is slow to import."""
    order = np.argsort(values, axis=-1)
    sorted_values = np.take_along_axis(values, order, axis=-1)
    is_first = np.ones(values.shape, bool)  # of equal values
    is_first[..., 1:] = sorted_values[..., 1:] != sorted_values[..., :-1]
    starts = np.flatnonzero(is_first)
    ties = np.diff(starts, append=values.size)
    ranks = np.empty(values.shape)
    tie_ranks = starts % max(values.shape[-1], 1) + (ties + 1) / 2
    np.put_along_axis(ranks, order, np.repeat(tie_ranks, ties).reshape(values.shape), axis=-1)
    return ranks


def _correlation(
    x: Float[np.ndarray, "... class"], y: Float[np.ndarray, "... class"], times: Float[np.ndarray, "..."] | float = 1.0
) -> Float[np.ndarray, "..."] | float:
    """Pearson's correlation of x and y, whose means are 0."""
    spread = np.sqrt(np.sum(times * x * x, axis=-1) * np.sum(times * y * y, axis=-1))
    correlation = np.clip(np.sum(times * x * y, axis=-1) / np.where(spread > 0, spread, 1), -1, 1)
    return np.where(spread > 0, correlation, np.nan)


def ranks_from_mean(
    values: Num[np.ndarray, " class"], times: Float[np.ndarray, "resample class"]
) -> Float[np.ndarray, "resample class"]:
    """The mean rank of each class in a resample that has it so many `times`, minus the mean of all ranks."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.nan))  # of equal values; nan differs from the first value
    ties = np.add.reduceat(times[:, order], starts, axis=1)
    ranks = np.cumsum(ties, axis=1) - (ties - 1) / 2 - (ties.sum(axis=1, keepdims=True) + 1) / 2
    columns = np.empty(len(values), np.intp)
    columns[order] = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(values)))
    return ranks[:, columns]


def mean_rank_correlation(
    x: Float[np.ndarray, "run ... class"],
    y: Float[np.ndarray, "run ... class"],
    times: Float[np.ndarray, "resample class"] | None = None,
) -> Float[np.ndarray, "..."] | float:
    """The mean over runs of Spearman's correlation over classes."""
    if times is not None:
        return np.mean([rank_correlation(*run, times) for run in zip(x, y)], axis=0)
    return rank_correlation(x, y).mean(axis=0)


def slope_within_classes(
    x: Float[np.ndarray, "run ... class"],
    y: Float[np.ndarray, "run ... class"],
    times: Float[np.ndarray, "resample class"] | None = None,
) -> Float[np.ndarray, "..."] | float:
    """The slope of y over x with a fixed effect of each class, over runs with different x for the same class.

    With means over the runs of a class, the within estimator is Σ (y − ȳ_class)(x − x̄_class) / Σ (x − x̄_class)², summed
    over runs and classes (Wooldridge, Econometric Analysis of Cross Section and Panel Data, section 10.5). The
    difficulty of a class thus has no influence. For a single run, the means are over classes, and the slope is that of the
    least-squares line. It is nan if x does not vary about its means, or if there are fewer than 3 classes. With `times`,
    each resample has each class so many times.
    """
    if times is not None:
        return _counted_slope(x, y, times)
    if x.shape[-1] < 3:
        return np.full(x.shape[1:-1], np.nan)
    if len(x) == 1:
        width = np.ptp(x[0], axis=-1)
        x, y = (side - side.mean(axis=-1, keepdims=True) for side in (x, y))
    else:  # NumPy's functions are slow over an axis as short as that of runs
        width = (functools.reduce(np.maximum, x) - functools.reduce(np.minimum, x)).max(axis=-1)
        x, y = (side - sum(side) / len(side) for side in (x, y))
    constant = width < 1e-9  # except for rounding
    spread = np.sum(x * x, axis=(0, -1))
    return np.where(constant, np.nan, np.sum(x * y, axis=(0, -1)) / np.where(constant, 1, spread))


def _counted_slope(
    x: Float[np.ndarray, "run 1 class"], y: Float[np.ndarray, "run 1 class"], times: Float[np.ndarray, "resample class"]
) -> Float[np.ndarray, " resample"]:
    """`slope_within_classes` of resamples that have each class so many `times`."""
    if len(x) > 1:
        x, y = (side - side.mean(axis=0) for side in (x, y))
    else:
        x, y = (side - (np.einsum("rc,c->r", times, side[0, 0]) / times.sum(axis=-1))[:, None] for side in (x, y))
    counted_x = times * x
    constant = (np.abs(counted_x) < 1e-9).all(axis=(0, -1))
    spread, product = (np.sum(counted_x * side, axis=(0, -1)) for side in (x, y))
    return np.where(constant, np.nan, product / np.where(constant, 1, spread))
