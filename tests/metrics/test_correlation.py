import warnings

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.metrics.bootstrap import bootstrap, difference, percentiles
from cliptail_jax.metrics.correlation import (
    mean_rank_correlation,
    mean_ranks,
    rank_correlation,
    slope_within_classes,
)

pytestmark = pytest.mark.filterwarnings("error")  # nothing here may warn of empty means or divisions by zero

DIRECT = 30  # resamples that are computed one by one
few_values = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12)  # many ties, zeros and constants


def random_classes(seed, classes=40):
    rng = np.random.default_rng(seed)
    frequency = rng.integers(0, 12, classes)  # with ties and zeros
    return frequency, np.clip(frequency / 20 + rng.normal(0, 0.2, classes), 0, 1)


def scipys(x, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return scipy.stats.spearmanr(x, y).statistic


@pytest.mark.parametrize("shape", [(0,), (1,), (50,), (3, 20), (2, 3, 9), (0, 4), (4, 0)])
def test_ranks_are_scipys(shape):
    values = np.random.default_rng(0).integers(0, 7, shape)
    assert np.array_equal(mean_ranks(values), scipy.stats.rankdata(values, axis=-1))


@settings(deadline=None)
@given(pairs=few_values)
def test_the_rank_correlation_is_scipys_where_it_is_defined_and_else_nan(pairs):
    x, y = np.array(pairs, float).reshape(-1, 2).T
    is_defined = len(x) >= 3 and len(set(x)) > 1 and len(set(y)) > 1
    expected = scipys(x, y) if is_defined else np.nan
    np.testing.assert_allclose(rank_correlation(x, y), expected, atol=1e-12)


def polyfit_slope(x, y):
    return np.polyfit(x, y, 1)[0]


@pytest.mark.parametrize(
    ("statistic", "reference"), [(mean_rank_correlation, scipys), (slope_within_classes, polyfit_slope)]
)
def test_an_interval_is_the_percentiles_of_the_statistic_over_resampled_classes(statistic, reference):
    x, y = random_classes(1)
    (result,) = bootstrap(statistic, np.stack([x, y])[:, None])
    resamples = np.random.default_rng(0).integers(0, 40, (2000, 40))[:DIRECT]
    np.testing.assert_allclose(result.draws[:DIRECT], [reference(x[row], y[row]) for row in resamples], rtol=1e-9)
    np.testing.assert_allclose(percentiles(result.draws), np.percentile(result.draws, [2.5, 97.5]))


def test_resamples_in_which_a_side_is_constant_are_ignored_if_they_are_few():
    (result,) = bootstrap(rank_correlation, np.array([np.arange(8), np.repeat([0.0, 1.0], 4)]))
    interval = percentiles(result.draws)
    assert np.isnan(result.draws).any() and 0 < interval.low <= interval.high <= 1
    # A third of the resamples lack the last class: the others do not show how the correlation varies.
    (result,) = bootstrap(rank_correlation, np.array([[0, 1, 2, 3], [0.0, 0.0, 0.0, 1.0]]))
    assert np.isnan(percentiles(result.draws)).all() and result.value > 0


@pytest.mark.parametrize(
    "x, y",
    [([], []), ([3], [0.5]), ([3, 0], [0.5, 1]), (range(9), [0.5] * 9), ([0] * 9, range(9)), ([1] * 5, [np.nan] * 5)],
)
def test_where_no_correlation_is_defined_everything_is_nan(x, y):
    x, y = np.array(x), np.array(y)
    (result,) = bootstrap(rank_correlation, np.stack([x, y]))
    assert np.isnan(result.value) and np.isnan(percentiles(result.draws)).all()


def test_paired_difference_resamples_both_runs_together():
    runs = [random_classes(seed) for seed in (3, 4)]
    result = difference(*bootstrap(rank_correlation, *map(np.stack, runs)))
    resamples = np.random.default_rng(0).integers(0, 40, (2000, 40))[:DIRECT]
    a, b = (np.array([scipys(x[row], y[row]) for row in resamples]) for x, y in runs)
    np.testing.assert_allclose(result.draws[:DIRECT], a - b, atol=1e-12)
    assert result.value == pytest.approx(np.subtract(*(scipys(x, y) for x, y in runs)))


def dummy_regression(x, y):
    """The slope of y over x and an indicator of each class, by least squares."""
    runs, classes = x.shape
    indicators = np.tile(np.eye(classes), (runs, 1))
    return np.linalg.lstsq(np.column_stack([x.ravel(), indicators]), y.ravel(), rcond=None)[0][0]


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), runs=st.integers(2, 4), classes=st.integers(3, 20))
def test_slope_within_classes_is_the_regression_on_an_indicator_of_each_class(seed, runs, classes):
    x, y = np.random.default_rng(seed).normal(size=(2, runs, classes))
    assert slope_within_classes(x, y) == pytest.approx(dummy_regression(x, y), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    "x", [[[]], [[1, 2]], [[7.3] * 5], [[np.nan] * 4], [[], []], [[0, 1]] * 2, [[0, 1, 2, 3, 4]] * 2], ids=str
)
def test_a_slope_is_undefined_where_x_is_constant_or_there_are_two_classes(x):
    """The slope of a pair is undefined where x does not change within any class."""
    x = np.array(x, float)
    y = np.arange(float(x.size)).reshape(x.shape)
    (result,) = bootstrap(slope_within_classes, np.stack([x, y]))
    assert np.isnan(result.value) and np.isnan(result.draws).all()
