"""Bootstrap intervals of statistics over classes (Efron, 1979); seeds.py has those of means over seeds.

Intervals cover 95 % and are percentiles. Resamples in which a statistic is undefined are ignored, if they are few.
scipy.stats.bootstrap is not used, because it cannot use the same resample of the classes for several runs.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer, Num, UInt8

from cliptail_jax.metrics.correlation import mean_rank_correlation

RESAMPLES = 2000
LEVEL = 0.95
NUMBERS_AT_ONCE = 2**18  # of resamples: all of a million captions would need 16 GB, and a cache is faster
MANY_CLASSES = 2048  # with more classes, each resample counts how often it has equal ones
MAX_KEPT = 2**28  # bytes of resamples that are kept for further statistics
# Sums of half-integers are not rounded, so that counting equal classes gives the same bits, in a quarter of the time.
EXACT = (mean_rank_correlation,)


class Interval(NamedTuple):
    """Bounds of a 95 % interval; both nan if undefined."""

    low: float
    high: float


class Bootstrapped(NamedTuple):
    """A statistic, and its values in resamples of the classes."""

    value: float
    draws: Float[np.ndarray, " resample"]


class Estimate(NamedTuple):
    """A statistic, or a difference of two runs, with its 95 % interval.

    Attributes:
        degrees: the degrees of freedom of the t distribution that gives the interval at other levels; infinite for the
            normal distribution.
    """

    value: float
    low: float = np.nan
    high: float = np.nan
    degrees: float = np.inf

    def interval(self, level: float) -> Interval:
        """The interval at another level, such as 0.99: each side is longer by the quotient of the quantiles."""
        factor = quantile(level, self.degrees) / quantile(LEVEL, self.degrees)
        return Interval(self.value - factor * (self.value - self.low), self.value + factor * (self.high - self.value))

    def p_value(self, bound: float = 0.0) -> float:
        """1 − the level at which the interval reaches `bound`: the two-sided p-value of "it is `bound`"; 1 without an interval."""
        from scipy.special import stdtr  # not for the help of programs

        if self.value == bound:
            return 1.0
        side = self.value - self.low if bound < self.value else self.high - self.value
        if np.isnan(side):
            return 1.0
        if side <= 0:
            return 0.0
        return float(2 * stdtr(self.degrees, -abs(self.value - bound) / side * quantile(LEVEL, self.degrees)))


@functools.lru_cache(maxsize=1024)
def quantile(level: float, degrees: float) -> float:
    """The half-width of an interval of a level, in standard errors."""
    from scipy.special import stdtrit  # of the t distribution, which scipy.stats has, too, but is slow to import

    return float(stdtrit(degrees, (1 + level) / 2))


def bootstrap(
    statistic: Callable[..., Float[np.ndarray, "..."] | float],
    *samples: Num[np.ndarray, "variable *run class"],
    seed: int = 0,
) -> list[Bootstrapped]:
    """The statistic of each sample, and of resamples of its classes.

    All samples are over the same classes, and a resample has the same classes in all of them, so shared effects cancel in
    differences. Classes with nan in any of the samples are left out of all.

    Args:
        statistic: of the variables, each [*run, ..., class], over runs and classes. The axes between are resamples, and it
            returns one number for each of them. With more than MANY_CLASSES it is also given `times`; see `_counted`.
        samples: the variables by class of each run, or pair of mirrored runs, that is compared.
        seed: of the resamples.

    Raises:
        ValueError: the statistic does not return one number per resample, for example because it is over a wrong axis.

    Example:
        a, b = bootstrap(mean_over_classes, accuracies_a[None, None], accuracies_b[None, None])
        low, high = percentiles(difference(a, b).draws)
    """
    samples = tuple(np.asarray(sample, np.float64) for sample in samples)
    complete = ~np.any([np.isnan(sample).any(axis=tuple(range(sample.ndim - 1))) for sample in samples], axis=0)
    samples = tuple(sample[..., complete] for sample in samples)
    return [_bootstrapped(statistic, sample.tobytes(), sample.shape, seed) for sample in samples]


@functools.lru_cache(maxsize=2048)  # a study compares each run with several others, and reports it alone
def _bootstrapped(statistic: Callable, content: bytes, shape: tuple[int, ...], seed: int) -> Bootstrapped:
    sample = np.frombuffer(content).reshape(shape)
    value = statistic(*sample)
    if shape[-1] > MANY_CLASSES or (statistic in EXACT and shape[-1] > 1):
        draws = _counted(statistic, sample, seed)
    else:
        draws = _taken(statistic, sample, seed, value)
    draws.setflags(write=False)
    return Bootstrapped(float(value), draws)


def _taken(
    statistic: Callable[..., Float[np.ndarray, "..."] | float],
    sample: Float[np.ndarray, "variable *run class"],
    seed: int,
    value: Float[np.ndarray, "..."] | float,
) -> Float[np.ndarray, " resample"]:
    """The statistic of the resamples, each with the variables of its classes; `value` is that of the sample."""
    # Contiguous by class, so that the runs of a class are taken together, which is faster.
    by_class, parts = np.ascontiguousarray(np.moveaxis(sample, -1, 1)), []
    for block in resamples_of(sample.shape[-1], seed):
        parts.append(statistic(*np.moveaxis(by_class.take(block, axis=1), (1, 2), (-2, -1))))
        if len(parts) == 1:
            _check_axes(statistic, sample, block, value, parts[0])
    # Resamples of a single class are all the same, which would be an interval without a width.
    return np.concatenate(parts) if sample.shape[-1] > 1 else np.full(RESAMPLES, np.nan)


def _counted(
    statistic: Callable[..., Float[np.ndarray, "..."] | float],
    sample: Float[np.ndarray, "variable *run class"],
    seed: int,
) -> Float[np.ndarray, " resample"]:
    """The statistic of the resamples of many classes, of which many have equal variables, such as 3 right of 10 examples.

    The statistic gets the variables [*run, 1, distinct class], and as `times` [resample, distinct class] how often each is
    drawn.
    """
    distinct, inverse = np.unique(sample.reshape(-1, sample.shape[-1]), axis=1, return_inverse=True)
    variables = distinct.reshape(*sample.shape[:-1], 1, -1)
    number = variables.shape[-1]
    parts: list[Float[np.ndarray, ...] | float] = []
    times: list[Float[np.ndarray, " distinct"]] = []
    remaining = RESAMPLES
    for block in _times_of_classes(sample.shape[-1], seed):
        times += [np.bincount(inverse, class_times, number) for class_times in block]
        remaining -= len(block)
        if len(times) * number >= NUMBERS_AT_ONCE or not remaining:
            parts.append(statistic(*variables, times=np.array(times)))
            times = []
    return np.concatenate(parts)


def _times_of_classes(classes: int, seed: int) -> Iterable[Integer[np.ndarray, "resample class"]]:
    """How often each class is in each resample, in the blocks of `resamples_of`. Drawing them takes longest, so they are kept."""
    if RESAMPLES * classes <= MAX_KEPT:
        return _kept_times(classes, seed)
    return (times_drawn(block, classes) for block in resamples_of(classes, seed))


@functools.lru_cache(maxsize=4)  # of all classes, of head, mid and tail, and of those with predictions
def _kept_times(classes: int, seed: int) -> list[UInt8[np.ndarray, "resample class"]]:
    """No class is drawn more than 255 times: that has a probability of 10^-500."""
    return [times_drawn(block, classes).astype(np.uint8) for block in resamples_of(classes, seed)]


def resamples_of(classes: int, seed: int = 0) -> Iterator[Int[np.ndarray, "resample class"]]:
    """RESAMPLES draws of as many classes with replacement, in blocks that need little memory."""
    rng, block = np.random.default_rng(seed), max(NUMBERS_AT_ONCE // max(classes, 1), 1)
    for start in range(0, RESAMPLES, block):
        yield rng.integers(0, max(classes, 1), (min(block, RESAMPLES - start), classes))


def times_drawn(resamples: Int[np.ndarray, "resample draw"], number: int) -> Int[np.ndarray, "resample number"]:
    """How often each of a number of classes, or of other indices, is in each resample."""
    return np.stack([np.bincount(row, minlength=number) for row in resamples])


def _check_axes(
    statistic: Callable,
    sample: Float[np.ndarray, "variable *run class"],
    block: Int[np.ndarray, "resample class"],
    value: Float[np.ndarray, "..."] | float,
    draws: Float[np.ndarray, "..."] | float,
) -> None:
    """Raise ValueError unless the statistic of the sample and of resamples of its classes are over runs and classes."""
    if np.shape(value) or np.shape(draws) != block.shape[:1]:
        raise ValueError(
            f"the statistic {statistic.__name__} returns {np.shape(value)} for variables [*run, class] and "
            f"{np.shape(draws)} for [*run, {len(block)} resamples, class]: it must reduce the axes of runs (first) and "
            f"classes (last) only, to () and ({len(block)},)"
        )
    # With as many classes as resamples, shapes alone do not distinguish the axes.
    if not np.isclose(draws[0], statistic(*sample[..., block[0]]), equal_nan=True):
        raise ValueError(f"the statistic {statistic.__name__} of a resample depends on the other resamples")


def mean_over_parts(parts: Sequence[Bootstrapped]) -> Bootstrapped:
    """The mean of statistics with independent resamples, such as those of several sets."""
    return Bootstrapped(*(np.mean(values, axis=0) for values in zip(*parts)))


def if_defined(statistic: Bootstrapped) -> Bootstrapped:
    """The statistic, undefined if it has no interval."""
    if np.isnan(percentiles(statistic.draws).low):
        return Bootstrapped(np.nan, np.full_like(statistic.draws, np.nan))
    return statistic


def mean_over_classes(
    y: Float[np.ndarray, "run ... class"], times: Float[np.ndarray, "resample class"] | None = None
) -> Float[np.ndarray, "..."] | float:
    """The mean over runs and classes. Each class counts `times`, by default once. nan without classes."""
    if times is not None:
        return (times @ y.mean(axis=0)[0]) / times.sum(axis=-1)
    return y.mean(axis=(0, -1)) if y.shape[-1] else np.full(y.shape[1:-1], np.nan)


def percentiles(values: Float[np.ndarray, " resample"]) -> Interval:
    """The interval that contains 95 % of the defined values; undefined if more than 2.5 % of all values are undefined.

    A correlation, for example, is undefined in the resamples of classes that all have the same accuracy. If there are many of
    these, all others contain the few classes that differ, so they do not show how the correlation varies.
    """
    defined_values = values[~np.isnan(values)]
    tail = 50 * (1 - LEVEL)  # percent on each side
    if not defined_values.size or 100 * defined_values.size < (100 - tail) * values.size:
        return Interval(np.nan, np.nan)
    method = "nearest" if np.isinf(defined_values).any() else "linear"  # "linear" would subtract infinities
    return Interval(*np.percentile(defined_values, [tail, 100 - tail], method=method))


def difference(a: Bootstrapped, b: Bootstrapped) -> Bootstrapped:
    """a − b, of two samples of one call of `bootstrap`."""
    with np.errstate(invalid="ignore"):  # f50 may be infinite in both
        return Bootstrapped(a.value - b.value, a.draws - b.draws)


def difference_of_estimates(a: Estimate, b: Estimate) -> Estimate:
    """a − b, of independent estimates.

    The distances of the bounds are combined as if they were standard errors (MOVER: Zou & Donner, 2008, Statistics in Medicine
    27), and the degrees of freedom by Welch (1947) and Satterthwaite.
    """
    value = a.value - b.value
    low = value - float(np.hypot(a.value - a.low, b.high - b.value))
    high = value + float(np.hypot(a.high - a.value, b.value - b.low))
    variances = [((e.high - e.low) / quantile(LEVEL, e.degrees)) ** 2 for e in (a, b)]
    squares = sum(variance**2 / e.degrees for variance, e in zip(variances, (a, b)))
    degrees = sum(variances) ** 2 / squares if squares else np.inf
    return Estimate(value, low, high, float(degrees))
