"""The levels of repeated looks, against published bounds of group-sequential tests and simulated estimates."""

import numpy as np
import pytest
from scipy.stats import norm

from cliptail_jax.metrics.looks import FIRST, Look, Walk, look_errors

# Constants of two-sided tests with errors of 5 % for 2 to 5 looks at equal steps (Jennison & Turnbull, 2000, tables 2.1 and 2.3).
POCOCK, OBRIEN_FLEMING = (2.178, 2.289, 2.361, 2.413), (1.977, 2.004, 2.024, 2.040)


def crossing(bounds, shares):
    walk, total = Walk(), 0.0
    for bound, share in zip(bounds, shares):
        total += walk.crossing(bound, share)
        walk = walk.step(bound, share)
    return total


@pytest.mark.parametrize("looks", [2, 3, 4, 5])
def test_published_bounds_have_errors_of_five_percent(looks):
    numbers = np.arange(1, looks + 1)
    constant = np.full(looks, POCOCK[looks - 2])
    falling = OBRIEN_FLEMING[looks - 2] * np.sqrt(looks / numbers)
    for bounds in (constant, falling):
        assert crossing(bounds, numbers / looks) == pytest.approx(0.05, abs=1e-4)


@pytest.mark.parametrize(("most", "errors"), [(2, 0.05), (5, 0.05), (8, 0.05 / 70), (30, 0.05)])
def test_looks_spend_pococks_share_of_the_errors(most, errors):
    bounds = norm.isf(np.array(look_errors(most, errors)) / 2)
    shares = np.arange(FIRST, most + 1) / most
    for looks in range(1, len(shares) + 1):
        spent = errors * np.log(1 + (np.e - 1) * shares[looks - 1])
        assert crossing(bounds[:looks], shares[:looks]) == pytest.approx(spent, rel=1e-6)


def test_simulated_looks_err_at_that_rate_and_less_often_if_pairs_share_an_effect():
    assert simulated_errors(common_variance=0.0) == pytest.approx(0.05, abs=0.003)
    assert 0.03 < simulated_errors(common_variance=1.0) < 0.04


def simulated_errors(common_variance, most=5):
    """How often any look is wrong, if pairs with unit variance share an effect with the common variance."""
    rng = np.random.default_rng(0)
    pairs = rng.normal(size=(100_000, most)) + np.sqrt(common_variance) * rng.normal(size=(100_000, 1))
    number = np.arange(1, most + 1)
    z = np.abs(pairs.cumsum(axis=1) / number / np.sqrt(common_variance + 1 / number))[:, FIRST - 1 :]
    levels = [Look(pairs, most).level() for pairs in range(FIRST, most + 1)]
    return (z > norm.ppf((1 + np.array(levels)) / 2)).any(axis=1).mean()
