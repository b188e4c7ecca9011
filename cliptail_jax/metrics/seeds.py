"""Means over seeds, with intervals that include the variance between seeds, of one kind of runs or of all of a study.

The interval of a mean over seeds (or mirrored pairs) has the variance of a two-way layout of random effects (Searle, Casella &
McCulloch, "Variance Components", 1992),

    V = V_classes + max(0, V_seeds − V_both) / P,

where V_classes is the variance of the mean over P seeds by the bootstrap of the classes, V_seeds is the variance of the
statistic between seeds, and V_both is the part of V_seeds that independent classes explain. The bootstrap resamples classes
for all seeds together, because a class is the same in all of them. It includes V_both / P, but not the effect that a seed has
on all its classes. Resampling seeds, too, would count the variance of independent classes two to three times (Owen, 2007).

Two seeds estimate V_seeds with one degree of freedom. All kinds of runs of a study share their data set and most of their
recipe, so V_seeds of a kind is shrunk to the mean over kinds: a moderated variance (Smyth, 2004, Statistical Applications in
Genetics and Molecular Biology 3), but with fixed PRIOR_DEGREES, because few kinds and seeds do not allow to estimate them.
scripts/benchmark/coverage.py measures how often the intervals contain the truth.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cliptail_jax.metrics.bootstrap import LEVEL, Bootstrapped, Estimate, percentiles, quantile

PRIOR_DEGREES = 4.0  # the weight of the mean over kinds, in degrees of freedom; a kind of P seeds has the weight P − 1


class SeedVariance(NamedTuple):
    """The variance of a statistic of one run, or one mirrored pair, between seeds.

    Attributes:
        v_seeds: V_seeds, the variance between seeds.
        v_both: V_both, the part of it that independent classes explain.
        degrees: the degrees of freedom of `v_seeds`.
    """

    v_seeds: float
    v_both: float
    degrees: float

    @property
    def excess(self) -> float:
        """The variance of the effect that a seed has on all classes."""
        return max(0.0, self.v_seeds - self.v_both)


def seed_variance(seeds: Sequence[Bootstrapped]) -> SeedVariance | None:
    """The variance between the seeds of a kind of runs, or of a difference of kinds.

    V_seeds = var_p(θ_p) of the values θ_p of P seeds has P − 1 degrees of freedom. V_both is the mean over resamples of
    var_p(θ*_p − θ_p), so it excludes effects of a class that all seeds share.

    Returns:
        None for one seed, or if values are not finite.
    """
    if len(seeds) < 2:
        return None
    values, draws = (np.array(column) for column in zip(*seeds))
    finite = np.isfinite(draws).all(axis=0)  # f50 is infinite where accuracy does not depend on frequency
    if not np.isfinite(values).all() or not finite.any():
        return None
    v_both = np.mean(np.var(draws[:, finite] - values[:, None], axis=0, ddof=1))
    return SeedVariance(float(np.var(values, ddof=1)), float(v_both), len(seeds) - 1)


def pooled_variance(kinds: Mapping[str, SeedVariance], weights: Mapping[str, float]) -> SeedVariance | None:
    """The variance between seeds of Σ w_k θ_k, from those of all kinds k of a study, whose seeds are independent.

    The variance of a kind with d_k degrees of freedom is shrunk to the mean over kinds,

        τ_k = (PRIOR_DEGREES Σ d_j s_j / Σ d_j + d_k s_k) / (PRIOR_DEGREES + d_k),   V_seeds = Σ w_k² τ_k = Σ g_j s_j.

    The degrees of freedom of this sum are (Σ g_j s_j)² / Σ (g_j s_j)² / d_j by Satterthwaite (1946), with τ_j for the
    variances s_j in the denominator. They account for the shared mean over kinds, and for runs that differences share. A
    kind with a weight but a single seed has no s_k and no V_both: both are the means over kinds.

    Args:
        kinds: `seed_variance` of the statistic of each kind.
        weights: the weights of the kinds in the difference: 1 and −1, or 1, −2 and 1 for (a − b) − (b − c).

    Returns:
        None if there are fewer than two kinds.
    """
    if len(kinds) < 2:
        return None
    variances, both_variances, degrees = np.array([kinds[name] for name in sorted(kinds)]).T
    squares = np.array([weights.get(name, 0.0) for name in sorted(kinds)]) ** 2
    unknown_squares = sum(weight**2 for name, weight in weights.items() if name not in kinds)
    shrinkage, mean = PRIOR_DEGREES / (PRIOR_DEGREES + degrees), np.average(variances, weights=degrees)
    moderated_variances = shrinkage * mean + (1 - shrinkage) * variances
    # The coefficients g_j in the sum of variances.
    coefficients = squares * (1 - shrinkage) + (np.sum(squares * shrinkage) + unknown_squares) * degrees / degrees.sum()
    v_seeds = np.sum(squares * moderated_variances) + unknown_squares * mean
    denominator = np.sum((coefficients * moderated_variances) ** 2 / degrees)
    v_both = np.sum(squares * both_variances) + unknown_squares * np.average(both_variances, weights=degrees)
    return SeedVariance(float(v_seeds), float(v_both), float(v_seeds**2 / denominator) if denominator else np.inf)


def mean_over_seeds(seeds: Sequence[Bootstrapped], shared_variance: SeedVariance | None = None) -> Estimate:
    """The mean over seeds (or pairs of them) that were trained on the same classes, with its interval.

    The t distribution has the degrees of freedom of Satterthwaite (1946), 2 V² / var(e / P), with the variance of the
    estimate e = max(0, V_seeds − V_both) if V_seeds is proportional to χ². It has at least those of V_seeds, because a small
    e with a large variance would have less than one. Without `shared_variance`, they are (P−1) (V / (e / P))². These are
    more, so with few seeds the intervals are too short; but with two seeds the others would be twice as long.

    Args:
        seeds: the statistic of each seed.
        shared_variance: the variance between seeds; by default that of these seeds alone. Without it, the interval of one
            seed does not cover other seeds.

    Example:
        estimate = mean_over_seeds([bootstrap(mean_over_classes, a[None, None])[0] for a in accuracies_by_seed])
    """
    values, draws = (np.array(column) for column in zip(*seeds))
    with np.errstate(invalid="ignore"):  # a difference of f50 may be ∞ with one seed and −∞ with another
        mean_draws = draws.mean(axis=0)
    value, (low, high) = float(values.mean()), percentiles(mean_draws)
    variance = shared_variance or seed_variance(seeds)
    if not variance or not np.isfinite([value, low, high]).all():
        return Estimate(value, float(low), float(high))
    excess = variance.excess / len(seeds)
    total = np.var(mean_draws[np.isfinite(draws).all(axis=0)]) + excess
    if shared_variance:
        excess_variance = variance_of_excess(shared_variance) / len(seeds) ** 2
        degrees = max(2 * total**2 / excess_variance, shared_variance.degrees) if excess_variance else np.inf
    else:
        degrees = variance.degrees * (total / excess) ** 2 if excess else np.inf
    normal = quantile(LEVEL, np.inf)
    factor = quantile(LEVEL, degrees) / normal
    lower, upper = (float(factor * np.hypot(side, normal * np.sqrt(excess))) for side in (value - low, high - value))
    return Estimate(value, value - lower, value + upper, float(degrees))


def variance_of_excess(variance: SeedVariance) -> float:
    """The variance of max(0, X − V_both), where X has the distribution V_seeds χ²_d / d.

    The partial moments of χ²_d are ∫_x^∞ t^k f_d(t) dt = d (d + 2) ... (d + 2k − 2) P(χ²_(d + 2k) > x).
    """
    from scipy.special import chdtrc  # P(χ²_d > x)

    v_seeds, v_both, d = variance
    if not v_seeds or np.isinf(d):
        return 0.0
    tails = [chdtrc(d + 2 * k, d * v_both / v_seeds) for k in range(3)]
    mean = v_seeds * tails[1] - v_both * tails[0]
    square = v_seeds**2 * (1 + 2 / d) * tails[2] - 2 * v_seeds * v_both * tails[1] + v_both**2 * tails[0]
    return float(max(0.0, square - mean**2))


def logarithms(seeds: Sequence[Bootstrapped]) -> list[Bootstrapped]:
    """The logarithms of positive numbers; -inf (below every scale) stays -inf, and nan stays nan."""

    def logarithm(values: np.ndarray | float) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(np.asarray(values) < 0, -np.inf, np.log(values))[()]  # nan stays nan

    return [Bootstrapped(*map(logarithm, statistic)) for statistic in seeds]


def geometric_mean_over_seeds(seeds: Sequence[Bootstrapped], shared_variance: SeedVariance | None = None) -> Estimate:
    """The geometric mean over seeds of positive numbers; `shared_variance` is the variance of their logarithms."""
    mean = mean_over_seeds(logarithms(seeds), shared_variance)
    value, low, high = (bound if bound == -np.inf else float(np.exp(bound)) for bound in mean[:3])
    return Estimate(value, low, high, mean.degrees)
