"""Variance between seeds, pooled over the kinds of a study, against closed forms, draws and simulated studies."""

import numpy as np
import pytest
import scipy.stats

from cliptail_jax.metrics.bootstrap import RESAMPLES, Bootstrapped
from cliptail_jax.metrics.seeds import (
    PRIOR_DEGREES,
    SeedVariance,
    mean_over_seeds,
    pooled_variance,
    seed_variance,
    variance_of_excess,
)

pytestmark = pytest.mark.filterwarnings("error")
DIFFERENCE = {"a": 1, "b": -1}


def without_classes(values):
    """Seeds whose statistic is the same in all resamples."""
    return [Bootstrapped(float(value), np.full(RESAMPLES, float(value))) for value in values]


def test_without_variance_of_classes_the_interval_is_students_with_the_pooled_variance():
    """Kinds with the same variance: the t interval with the degrees of freedom of all of them."""
    kinds = {name: SeedVariance(2.0, 0.0, 3) for name in "abcde"}
    difference = without_classes([1.0, 2.0, 4.0, 9.0])
    pooled = pooled_variance(kinds, DIFFERENCE)
    estimate = mean_over_seeds(difference, pooled)
    # The mean has 4 of 7 degrees of freedom in the variance of a kind.
    own_weight, mean_weight = 3 / (PRIOR_DEGREES + 3), PRIOR_DEGREES / (PRIOR_DEGREES + 3)
    shares = [own_weight + 2 * mean_weight / 5] * 2 + [2 * mean_weight / 5] * 3
    degrees = 2**2 / np.sum(np.square(shares) / 3)
    assert 3 < degrees < 15
    assert pooled == pytest.approx((4.0, 0.0, degrees)) and estimate.degrees == pytest.approx(degrees)
    expected = scipy.stats.t.interval(0.95, degrees, 4.0, np.sqrt(4.0 / 4))
    np.testing.assert_allclose((estimate.low, estimate.high), expected)
    np.testing.assert_allclose(estimate.interval(0.99), scipy.stats.t.interval(0.99, degrees, 4.0, np.sqrt(4.0 / 4)))


def test_degrees_of_freedom_are_those_of_the_sum_of_independent_variances():
    """By the variance of draws: two runs of a claim share their mean with the others, and (a − b) − (b − c) has b twice."""
    rng, weights = np.random.default_rng(0), {"a": 1, "b": -2, "c": 1}
    degrees = {"a": 1, "b": 2, "c": 1, "d": 3}
    draws = {name: rng.chisquare(d, 4000) / d for name, d in degrees.items()}
    variances = [
        pooled_variance({name: SeedVariance(draws[name][n], 0.0, d) for name, d in degrees.items()}, weights).v_seeds
        for n in range(4000)
    ]
    exact = pooled_variance({name: SeedVariance(1.0, 0.0, d) for name, d in degrees.items()}, weights)
    assert exact.v_seeds == pytest.approx(6.0)
    assert np.mean(variances) == pytest.approx(6.0, rel=0.03)
    assert 2 * 6.0**2 / np.var(variances) == pytest.approx(exact.degrees, rel=0.1)


@pytest.mark.parametrize(
    "weights", [{"a": 1}, DIFFERENCE, {"a": 1, "b": -2, "c": 1}, {"a": 1, "b": -1, "c": -1, "d": 1}]
)
def test_a_difference_has_the_variance_of_each_of_its_runs_by_the_square_of_its_weight(weights):
    kinds = {name: SeedVariance(2.0, 0.5, 2) for name in "abcde"}
    pooled, runs = pooled_variance(kinds, weights), sum(weight**2 for weight in weights.values())
    assert pooled[:2] == pytest.approx((2.0 * runs, 0.5 * runs))


def test_a_kind_that_varies_more_keeps_a_part_of_it():
    kinds = {name: SeedVariance(variance, 0.0, 4) for name, variance in zip("abcd", (9.0, 1.0, 1.0, 1.0))}
    assert pooled_variance(kinds, {"a": 1}).v_seeds == pytest.approx((3.0 + 9.0) / 2)  # 4 degrees each
    assert pooled_variance(kinds, {"b": 1}).v_seeds == pytest.approx((3.0 + 1.0) / 2)


def test_the_order_of_kinds_has_no_influence():
    kinds = {name: SeedVariance(variance, 0.1 * variance, 1) for name, variance in zip("abc", (0.1, 0.7, 1.9))}
    backwards = dict(reversed(kinds.items()))
    assert pooled_variance(kinds, DIFFERENCE) == pooled_variance(backwards, dict(reversed(DIFFERENCE.items())))


def test_one_kind_is_not_pooled():
    assert pooled_variance({"a": SeedVariance(1.0, 0.5, 1)}, {"a": 1}) is None


def test_a_kind_of_one_seed_has_the_mean_over_the_other_kinds():
    """By the variance of draws; the degrees of freedom are those of all kinds together."""
    kinds = {
        name: SeedVariance(variance, 0.1 * variance, degrees)
        for name, variance, degrees in zip("abc", (1.0, 3.0, 2.5), (1, 2, 1))
    }
    mean, of_both, _ = pooled_variance(kinds, {"new": 1})
    assert (mean, of_both) == pytest.approx((2.375, 0.2375))
    draws = np.random.default_rng(0).chisquare([1, 2, 1], (4000, 3)) / [1, 2, 1]
    equal = [
        pooled_variance(
            {k: SeedVariance(v, 0.0, d) for k, v, d in zip("abc", draw, (1, 2, 1))}, {"new": 1, "other": -1}
        ).v_seeds
        for draw in draws
    ]
    exact = pooled_variance({k: SeedVariance(1.0, 0.0, d) for k, d in zip("abc", (1, 2, 1))}, {"new": 1, "other": -1})
    assert exact[::2] == pytest.approx((2.0, 4.0))
    assert 2 * 2.0**2 / np.var(equal) == pytest.approx(exact.degrees, rel=0.1)


@pytest.mark.parametrize("of_both", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize("degrees", [1.0, 6.5])
def test_variance_of_the_excess_is_that_of_draws(degrees, of_both):
    draws = np.maximum(0, np.random.default_rng(0).chisquare(degrees, 400_000) / degrees - of_both)
    assert variance_of_excess(SeedVariance(1.0, of_both, degrees)) == pytest.approx(np.var(draws), rel=0.03)


@pytest.mark.parametrize("v_seeds", [0.0, 1e-300, 1.0, np.float64(1e6)])
def test_degrees_are_infinite_where_seeds_vary_no_more_than_classes_explain(v_seeds):
    assert variance_of_excess(SeedVariance(v_seeds, 1e3 * v_seeds + 1.0, 5.0)) == pytest.approx(0, abs=1e-9)


def test_undefined_and_infinite_statistics_have_no_variance_between_seeds():
    seeds = without_classes([1.0, 2.0])
    assert seed_variance(seeds[:1]) is None
    assert seed_variance([seeds[0], Bootstrapped(np.inf, np.full(RESAMPLES, np.inf))]) is None
    assert seed_variance([seeds[0], Bootstrapped(1.0, np.full(RESAMPLES, np.nan))]) is None


def test_a_single_seed_with_the_variance_of_others_covers_them():
    """The variance of one seed is not divided by a number of seeds."""
    pooled = SeedVariance(4.0, 0.0, 10.0)
    estimate = mean_over_seeds(without_classes([3.0]), pooled)
    np.testing.assert_allclose((estimate.low, estimate.high), scipy.stats.t.interval(0.95, 10, 3.0, 2.0))


def test_pooled_intervals_of_two_pairs_contain_the_truth_more_often_and_are_shorter():
    """Eight kinds, 60 classes, effects of seeds as large as those of classes; scripts/benchmark/coverage.py has more."""
    rng, hits, lengths = np.random.default_rng(0), [], []
    counts = np.random.default_rng(1).multinomial(60, np.full(60, 1 / 60), 500) / 60
    for _ in range(60):
        effects = rng.normal(0, 0.25, (8, 2, 1)) + rng.normal(0, 1, (8, 1, 60)) + rng.normal(0, 2, (8, 2, 60))
        kinds = [[Bootstrapped(seed.mean(), counts @ seed) for seed in kind] for kind in effects]
        variances = {str(kind): seed_variance(seeds) for kind, seeds in enumerate(kinds)}
        for a, b in ((0, 1), (1, 2), (3, 4), (5, 6)):
            contrast = [Bootstrapped(x.value - y.value, x.draws - y.draws) for x, y in zip(kinds[a], kinds[b])]
            pooled = pooled_variance(variances, {str(a): 1, str(b): -1})
            estimates = [mean_over_seeds(contrast), mean_over_seeds(contrast, pooled)]
            hits.append([estimate.low < 0 < estimate.high for estimate in estimates])
            lengths.append([estimate.high - estimate.low for estimate in estimates])
    (own_coverage, coverage), (own_length, length) = np.mean(hits, axis=0), np.mean(lengths, axis=0)
    assert own_coverage < coverage and 0.92 <= coverage <= 0.98
    assert length < 0.75 * own_length


def test_infinite_resamples_of_both_signs_give_no_interval_without_a_warning():
    infinite = np.full(RESAMPLES, np.inf)
    estimate = mean_over_seeds([Bootstrapped(1.0, infinite), Bootstrapped(2.0, -infinite)])
    assert estimate.value == 1.5 and np.isnan([estimate.low, estimate.high]).all()
