"""Log-odds of being right by class frequency, against direct maximization and stored regressions."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from cliptail_jax.metrics.bootstrap import percentiles
from cliptail_jax.metrics.measures import MEASURES, ClassResults, summarize
from cliptail_jax.metrics.odds import firth_regression, images_for_half, log_odds, odds_slope

REFERENCE = Path(__file__).parents[3] / "shared" / "reference" / "odds_reference.json"
FREQUENCY = np.array([1, 3, 5, 10, 30, 100, 200])


def penalized(beta, x, k, n):
    """The negative log-likelihood with Jeffreys' prior, from the formulas."""
    logit = beta[0] + beta[1] * x
    p = 1 / (1 + np.exp(-logit))
    design = np.stack([np.ones_like(x), x])
    information = (design * (n * p * (1 - p))) @ design.T
    return -(k * logit - n * np.logaddexp(0, logit)).sum() - np.linalg.slogdet(information)[1] / 2


def directly(x, k, n):
    options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 20000, "maxfev": 20000}
    return minimize(penalized, [0.0, 0.5], (x, k, n), method="Nelder-Mead", options=options).x


def results_of(correct, frequency=FREQUENCY, examples=50):
    examples = np.full(len(correct), examples)
    return ClassResults(np.array(correct), examples, predictions=examples, frequency=np.asarray(frequency))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 50), min_size=7, max_size=7))
@example([0, 0, 0, 50, 50, 50, 50]).via("separated")
@example([0] * 7).via("never right")
def test_the_regression_is_that_of_direct_maximization(correct):
    x, k, n = np.log10(FREQUENCY), np.array(correct, float), np.full(7, 50.0)
    np.testing.assert_allclose(firth_regression(x[None], k[None], n[None]), directly(x, k, n), atol=2e-5)


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"needs {REFERENCE.name}, which is beside the clone")
@pytest.mark.parametrize("case", ["sl", "clip", "separated", "never_right"])
def test_stored_regressions_are_reproduced(case):
    reference = json.loads(REFERENCE.read_text())[case]
    x, k, n = (np.array(reference[key], float)[None] for key in ("frequency", "correct", "examples"))
    intercept, slope = firth_regression(np.log10(x), k, n)
    assert intercept == pytest.approx(reference["intercept"], rel=1e-5)
    assert slope == pytest.approx(reference["odds_acc"], rel=1e-5, abs=1e-6)
    half = images_for_half(np.log10(x), k, n)
    assert np.isnan(half) if reference["f50"] is None else half == pytest.approx(reference["f50"], rel=1e-5)


def test_a_pair_is_one_regression_and_resamples_are_independent():
    rng = np.random.default_rng(0)
    x, n = rng.normal(1.5, 0.6, (2, 9)), np.full((2, 9), 30.0)
    k = rng.binomial(30, 1 / (1 + np.exp(1 - x))).astype(float)
    assert odds_slope(x, k, n) == pytest.approx(odds_slope(*(side.reshape(1, -1) for side in (x, k, n))))
    resamples = rng.integers(0, 9, (5, 9))
    slopes = odds_slope(*(side[:, resamples] for side in (x, k, n)))
    expected = [odds_slope(*(side[:, rows] for side in (x, k, n))) for rows in resamples]
    np.testing.assert_allclose(slopes, expected, atol=1e-8)


def test_without_a_spread_of_frequencies_there_is_no_slope():
    x, k, n = np.ones((1, 3, 4)), np.ones((1, 3, 4)), np.full((1, 3, 4), 5.0)
    assert np.isnan(odds_slope(x, k, n)).all() and np.isnan(images_for_half(x, k, n)).all()
    assert np.isnan(odds_slope(*np.zeros((3, 1, 0))))


def test_an_evaluation_has_log_odds_and_the_images_for_half():
    summary = summarize(results_of([2, 9, 14, 24, 38, 46, 49]))
    a, b = directly(np.log10(FREQUENCY), np.array([2, 9, 14, 24, 38, 46, 49.0]), np.full(7, 50.0))
    assert summary["odds_acc"] == pytest.approx(b, abs=1e-4) and summary["f50"] == pytest.approx(
        10 ** (-a / b), rel=1e-4
    )
    low, high = summary["odds_acc_interval"]
    assert low < b < high and summary["odds_acc_left_out"] == 0 and "f50_beyond" not in summary


def test_classes_without_a_training_or_test_image_are_left_out():
    results = results_of([2, 9, 14, 24, 38, 46, 49, 0, 0], [*FREQUENCY, 0, 7])
    results.examples[-1] = 0
    summary, expected = summarize(results), summarize(results_of([2, 9, 14, 24, 38, 46, 49]))
    assert summary["odds_acc"] == pytest.approx(expected["odds_acc"]) and summary["odds_acc_left_out"] == 2


@pytest.mark.parametrize(
    "correct, beyond",
    [([40, 42, 44, 45, 46, 47, 48], "<"), ([0, 0, 1, 1, 2, 3, 4], ">"), ([25, 24, 26, 25, 24, 26, 25], None)],
)
def test_half_is_undefined_far_from_the_data_or_without_a_slope(correct, beyond):
    summary = summarize(results_of(correct))
    assert summary.get("f50_beyond") == beyond and not np.isfinite(summary["f50"])


def test_half_is_as_undefined_as_its_resamples():
    (result,) = MEASURES["f50"].compare([results_of([25, 24, 26, 25, 24, 26, 28])])
    assert np.isnan(result.value) and np.isnan(percentiles(result.draws)).all()


def test_pictures_show_all_and_none_at_the_ends_of_the_axis():
    np.testing.assert_allclose(log_odds(np.array([0, 0.5, 1])), [-np.log(199), 0, np.log(199)])
