"""Effective log-priors: their slopes on the classes of glyphs_lt. tests/objectives/test_minimized_losses.py has the losses."""

import math

import numpy as np
import pytest

from cliptail_jax.config.training import Profile
from cliptail_jax.curation.profiles import profile_counts
from cliptail_jax.metrics.effective_prior import SL_PER_DECADE, batch_log_prior, per_decade
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
