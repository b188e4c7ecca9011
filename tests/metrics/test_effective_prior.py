"""Effective log-priors: their slopes on the classes of glyphs_lt. tests/objectives/test_minimized_losses.py has the losses."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.special

from cliptail_jax.config.training import Profile
from cliptail_jax.curation.profiles import profile_counts
from cliptail_jax.metrics.effective_prior import SL_PER_DECADE, batch_log_prior, per_decade, vocabulary_log_prior
from cliptail_jax.metrics.imbalance import log_prior

FREQUENCY = profile_counts(Profile("exponential", ratio=100.0), np.full(100, 500), seed=0)


@pytest.mark.parametrize("batch, slope", [
    (8, 0.0515), (16, 0.1176), (32, 0.2408), (64, 0.4543), (128, 0.7747), (256, 1.168), (512, 1.566), (1024, 1.904),
])  # fmt: skip
def test_a_softmax_over_a_batch_favours_frequent_classes_more_in_larger_batches(batch, slope):
    assert FREQUENCY.sum() == 10_847
    assert per_decade(batch_log_prior(FREQUENCY, batch), FREQUENCY) == pytest.approx(slope, rel=1e-3)


def test_the_log_prior_of_sl_is_reached_by_a_batch_of_all_images():
    assert per_decade(log_prior(FREQUENCY), FREQUENCY) == pytest.approx(SL_PER_DECADE) == math.log(10)
    np.testing.assert_allclose(batch_log_prior(FREQUENCY, 10**6), log_prior(FREQUENCY), atol=1e-9)


def test_two_images_favour_no_class():
    np.testing.assert_allclose(batch_log_prior(FREQUENCY, 2), 0.0, atol=1e-9)


def test_classes_that_are_equally_frequent_have_no_slope():
    assert math.isnan(per_decade(np.zeros(3), np.full(3, 7)))


def minimizer(frequency, size, exponent, batch, rng, batches=4000):
    """The logits that minimize the mean loss of simulated batches, whose vocabularies are drawn one class after the other."""
    shares, classes = frequency / frequency.sum(), len(frequency)
    counts = rng.multinomial(batch, shares, size=batches)
    is_in = counts > 0
    for row in is_in:
        absent = np.flatnonzero(~row)
        weights = shares[absent] ** exponent
        places = max(size - row.sum(), 0)
        row[rng.choice(absent, places, replace=False, p=weights / weights.sum())] = True

    def mean_loss(logits):
        log_sums = scipy.special.logsumexp(np.where(is_in, logits, -np.inf), axis=1, keepdims=True)
        probabilities = np.where(is_in, np.exp(logits - log_sums), 0)
        gradient = (batch * probabilities - counts).mean(axis=0) / batch
        return np.mean(log_sums - counts @ logits[:, None] / batch), gradient

    return scipy.optimize.minimize(mean_loss, np.zeros(classes), jac=True, method="L-BFGS-B").x


@pytest.mark.parametrize("size, sampling", [(14, "uniform"), (14, "sqrt"), (14, "linear"), (24, "linear")])
def test_a_sampled_vocabulary_is_corrected_by_the_probabilities_of_its_classes(size, sampling):
    """Of 30 classes, a batch of 16 images has 9. Vocabularies of one size differ by their sampling."""
    frequency = profile_counts(Profile("exponential", ratio=30.0), np.full(30, 300), seed=0)
    exponent = {"uniform": 0, "sqrt": 0.5, "linear": 1}[sampling]
    logits = minimizer(frequency, size, exponent, 16, np.random.default_rng(1))
    psi = vocabulary_log_prior(frequency, size, sampling, 16)
    assert per_decade(logits, frequency) == pytest.approx(per_decade(psi, frequency), abs=0.04)
    np.testing.assert_allclose(logits - logits.mean(), psi - psi.mean(), atol=0.15)


def test_a_vocabulary_is_between_the_batch_and_all_classes():
    slopes = [per_decade(vocabulary_log_prior(FREQUENCY, size, "linear", 128), FREQUENCY) for size in (1, 60, 80, 100)]
    np.testing.assert_allclose(slopes, [0.775, 1.07, 1.71, SL_PER_DECADE], atol=0.02)
    assert slopes == sorted(slopes)
