"""Intervals of means over classes and seeds, against direct resampling, closed forms and simulated studies."""

import numpy as np
import pytest
import scipy.stats

from cliptail_jax.metrics.bootstrap import (
    MANY_CLASSES,
    MAX_KEPT,
    RESAMPLES,
    Bootstrapped,
    Estimate,
    _bootstrapped,
    bootstrap,
    mean_over_classes,
    resamples_of,
)
from cliptail_jax.metrics.seeds import geometric_mean_over_seeds, mean_over_seeds

pytestmark = pytest.mark.filterwarnings("error")


def seeds_of(effects):
    """The mean over classes of each seed, for effects [seed, class]."""
    return [bootstrap(mean_over_classes, of_seed[None, None])[0] for of_seed in effects]


def estimate_of(effects):
    return mean_over_seeds(seeds_of(effects))


def test_a_class_that_one_sample_lacks_is_left_out_of_all():
    a, b, c = np.random.default_rng(0).normal(size=(3, 30))
    a[3], c[5] = np.nan, np.nan
    samples, complete = np.stack([a, b, c])[:, None, None], ~np.isin(np.arange(30), (3, 5))
    results = bootstrap(mean_over_classes, *samples)
    for result, expected in zip(results, bootstrap(mean_over_classes, *samples[..., complete]), strict=True):
        assert result.value == expected.value
        np.testing.assert_array_equal(result.draws, expected.draws)


def test_seeds_that_agree_are_one_data_set_of_the_means_of_classes():
    """Where all seeds have the same effects of classes, the interval over seeds is that of a single seed."""
    classes = np.random.default_rng(3).normal(size=50)
    np.testing.assert_allclose(estimate_of([classes] * 3), estimate_of([classes]))


def test_effects_of_seeds_on_all_classes_widen_the_interval_to_students_over_the_seeds():
    of_seeds = np.array([1.0, 2.0, 4.0, 9.0])
    result = estimate_of(np.repeat(of_seeds[:, None], 50, axis=1))
    expected = scipy.stats.t.interval(0.95, 3, of_seeds.mean(), scipy.stats.sem(of_seeds))
    assert result.degrees == 3
    np.testing.assert_allclose((result.low, result.high), expected)


def test_variance_of_the_interval_is_that_of_a_two_way_layout():
    """Against the mean squares of an analysis of variance, computed without a bootstrap."""
    rng = np.random.default_rng(11)
    seeds, classes = 6, 80
    effects = 1 + rng.normal(0, 0.5, (seeds, 1)) + rng.normal(0, 2, classes) + rng.normal(0, 1, (seeds, classes))
    of_classes = effects.mean(0).var() / classes
    of_seeds = effects.mean(1).var(ddof=1) / seeds
    deviations = effects - effects.mean(0)
    of_both = deviations.var(axis=1).sum() / (seeds - 1) / classes / seeds
    variance = of_classes + of_seeds - of_both
    degrees = (seeds - 1) * (variance / (of_seeds - of_both)) ** 2
    half = scipy.stats.t.ppf(0.975, degrees) * np.sqrt(variance)
    result = estimate_of(effects)
    assert result.value == pytest.approx(effects.mean())
    assert result.degrees == pytest.approx(degrees, rel=0.1)
    np.testing.assert_allclose((result.value - result.low, result.high - result.value), half, rtol=0.05)


def test_a_few_infinite_resamples_leave_the_variance_between_seeds():
    """Those of f50 are infinite where the accuracy of a resample does not depend on frequency."""
    seeds = seeds_of(np.arange(3.0)[:, None] + np.random.default_rng(1).normal(size=(3, 40)))
    infinite = np.where(np.arange(RESAMPLES) < 10, np.inf, seeds[0].draws)
    result = mean_over_seeds([Bootstrapped(seeds[0].value, infinite), *seeds[1:]])
    np.testing.assert_allclose(result, mean_over_seeds(seeds), rtol=0.05)


def test_a_geometric_mean_is_positive_and_that_of_logarithms():
    seeds = seeds_of(np.arange(3.0)[:, None] + np.random.default_rng(1).normal(size=(3, 40)))
    of_powers = geometric_mean_over_seeds([Bootstrapped(*map(np.exp, of_seed)) for of_seed in seeds])
    np.testing.assert_allclose(np.log(of_powers[:3]), mean_over_seeds(seeds)[:3])
    # Some resamples of f50 may be undefined.
    seeds = [Bootstrapped(v, np.where(np.arange(RESAMPLES) < 90, np.nan, r)) for v, r in seeds]
    of_powers = geometric_mean_over_seeds([Bootstrapped(*map(np.exp, of_seed)) for of_seed in seeds])
    np.testing.assert_allclose(np.log(of_powers[:3]), mean_over_seeds(seeds)[:3])
    beyond = Bootstrapped(-np.inf, np.where(np.arange(RESAMPLES) % 2, 3.0, -np.inf))
    assert geometric_mean_over_seeds([beyond])[:2] == (-np.inf, -np.inf)


def test_intervals_contain_the_truth_at_their_level():
    """60 classes, four seeds, effects of seeds, classes and both; scripts/benchmark/coverage.py has more."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        effects = rng.normal(0, 0.3, (4, 1)) + rng.normal(0, 1, 60) + rng.normal(0, 2, (4, 60))
        result = estimate_of(effects)
        hits += result.low < 0 < result.high
    assert 0.91 <= hits / 200 <= 0.99


def test_undefined_statistics_have_undefined_intervals():
    statistic = Bootstrapped(np.nan, np.full(2000, np.nan))
    assert np.isnan(mean_over_seeds([statistic])[:3]).all()
    assert np.isnan(mean_over_seeds([statistic, statistic])[:3]).all()


@pytest.mark.parametrize("degrees", [4.0, np.inf])
def test_interval_and_p_value_are_those_of_the_t_distribution(degrees):
    error, distribution = 0.7, scipy.stats.t(degrees)
    half = error * distribution.ppf(0.975)
    estimate = Estimate(2.0, 2.0 - half, 2.0 + half, degrees)
    np.testing.assert_allclose(estimate.interval(0.95), (estimate.low, estimate.high))
    np.testing.assert_allclose(estimate.interval(0.99), scipy.stats.t.interval(0.99, degrees, 2.0, error))
    assert estimate.p_value() == pytest.approx(2 * distribution.sf(2.0 / error))
    assert estimate.p_value(3.0) == pytest.approx(2 * distribution.sf(1.0 / error))
    assert estimate.p_value(2.0) == 1


def test_the_interval_of_the_level_of_a_p_value_ends_at_its_bound():
    estimate = Estimate(2.0, 1.2, 4.5, 7.0)  # longer above than below
    assert estimate.interval(1 - estimate.p_value()).low == pytest.approx(0)
    assert estimate.interval(1 - estimate.p_value(6.0)).high == pytest.approx(6.0)


def test_draws_of_many_classes_are_direct_ones_whether_they_are_kept_or_not(monkeypatch):
    accuracies = np.random.default_rng(0).integers(0, 5, MANY_CLASSES + 1) / 4
    directly = [accuracies[row].mean() for block in resamples_of(len(accuracies)) for row in block]
    for limit in (MAX_KEPT, 0):
        monkeypatch.setattr("cliptail_jax.metrics.bootstrap.MAX_KEPT", limit)
        _bootstrapped.cache_clear()
        np.testing.assert_allclose(bootstrap(mean_over_classes, accuracies[None, None])[0].draws, directly, rtol=1e-12)


@pytest.mark.parametrize("classes", [30, RESAMPLES])
@pytest.mark.parametrize("slip", [lambda y: y.mean(axis=-1), lambda y: y.mean(), lambda y: y.mean(axis=(0, 1))])
def test_a_statistic_over_a_wrong_axis_is_refused(slip, classes):
    y = np.random.default_rng(0).normal(size=(1, 2, classes))  # a mirrored pair
    with pytest.raises(ValueError, match="the statistic"):
        bootstrap(slip, y)
    assert bootstrap(mean_over_classes, y)[0].value == pytest.approx(y.mean())
