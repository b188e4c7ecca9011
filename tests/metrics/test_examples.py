"""Intervals of differences in accuracy over the examples of fixed classes."""

import numpy as np
import pytest

from cliptail_jax.metrics.bootstrap import Bootstrapped, percentiles
from cliptail_jax.metrics.examples import over_examples, paired_variances, unpaired_variances
from cliptail_jax.metrics.measures import MEASURES, ClassResults

EXAMPLES = np.array([24, 90, 36, 150])
LABELS = np.repeat(np.arange(4), EXAMPLES)
GROUPS = {"head": np.array([0, 1]), "mid": np.array([2]), "tail": np.array([3])}
ACCURACIES = ("top1", "mean_per_class", "head", "tail")


def results_of(right):
    return ClassResults(np.bincount(LABELS, right, 4).astype(int), EXAMPLES, EXAMPLES, groups=GROUPS)


def value_of(key, right):
    measure = MEASURES[key]
    return measure.compare([results_of(right)])[0].value


def drawn(rng, shares, shared):
    """Which examples two models have right; `shared` is the share of examples on which luck is the same for both."""
    luck = rng.random((2, len(LABELS)))
    luck[1] = np.where(rng.random(len(LABELS)) < shared, luck[0], luck[1])
    return [part < share[LABELS] for part, share in zip(luck, shares)]


@pytest.mark.parametrize("key", ACCURACIES)
def test_the_variance_is_that_of_resampled_examples(key):
    """Of each class as many are drawn with replacement as it has, paired for both models."""
    rng = np.random.default_rng(0)
    higher, lower = drawn(rng, (np.array([0.9, 0.7, 0.6, 0.5]), np.array([0.6, 0.6, 0.5, 0.2])), shared=0.7)
    starts = np.cumsum(EXAMPLES) - EXAMPLES
    draws = []
    for _ in range(4000):
        rows = np.concatenate([start + rng.integers(size, size=size) for start, size in zip(starts, EXAMPLES)])
        draws.append(value_of(key, higher[rows]) - value_of(key, lower[rows]))
    variances = paired_variances(higher[None], lower[None], LABELS, 4)
    value = value_of(key, higher) - value_of(key, lower)
    difference = over_examples(MEASURES[key], Bootstrapped(value, np.zeros(1)), [results_of(higher)], [variances])
    assert difference.value == value and difference.draws.mean() == pytest.approx(value)
    assert difference.draws.std() == pytest.approx(np.std(draws), rel=0.06)  # the bootstrap divides by n, and not n − 1


@pytest.mark.parametrize("shared, is_paired", [(0.0, False), (0.0, True), (0.8, True)])
def test_intervals_contain_the_true_difference_as_often_as_they_state(shared, is_paired):
    rng = np.random.default_rng(1)
    shares = np.array([0.8, 0.7, 0.6, 0.5]), np.array([0.6, 0.5, 0.5, 0.3])
    truth, hits = 100 * np.mean(shares[0] - shares[1]), 0
    for _ in range(400):
        right = drawn(rng, shares, shared)
        results = [*map(results_of, right)]
        variances = paired_variances(right[0][None], right[1][None], LABELS, 4)
        if not is_paired:
            variances = unpaired_variances(*results)
        value = value_of("mean_per_class", right[0]) - value_of("mean_per_class", right[1])
        measure, contrast = MEASURES["mean_per_class"], Bootstrapped(value, np.zeros(1))
        low, high = percentiles(over_examples(measure, contrast, results[:1], [variances]).draws)
        hits += low <= truth <= high
    assert 0.92 < hits / 400 < 0.98


def test_models_that_are_right_on_the_same_examples_differ_less_if_they_are_paired():
    right = drawn(np.random.default_rng(2), (np.full(4, 0.7), np.full(4, 0.6)), shared=0.9)
    paired = paired_variances(right[0][None], right[1][None], LABELS, 4)
    assert (paired < unpaired_variances(*map(results_of, right))).all()
