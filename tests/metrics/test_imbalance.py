"""Imbalance measures against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliptail_jax.metrics.imbalance import gini, imbalance_ratio


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30).filter(any))
def test_gini_is_half_the_relative_mean_difference(counts):
    x = np.array(counts)
    direct = np.abs(x[:, None] - x[None, :]).mean() / (2 * x.mean())
    assert gini(x) == pytest.approx(direct, abs=1e-12)


def test_imbalance_ratio_is_most_over_least():
    assert imbalance_ratio(np.array([500, 20, 5])) == 100
    assert imbalance_ratio(np.array([5, 0])) == math.inf


def test_no_record_at_all_is_undefined():
    assert math.isnan(gini(np.zeros(3, int))) and math.isnan(imbalance_ratio(np.zeros(3, int)))
