"""Confidence and accuracy in bins, counted batch by batch, against a loop over examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.metrics.calibration import (
    BINS,
    calibration,
    count_on_host,
    expected_calibration_error,
    mean_confidence,
)
from cliptail_jax.metrics.confidence import bin_of, count_calibration, sigmoid_confidence, softmax_confidence

EXAMPLES, CLASSES = 40, 5
on_device = jax.jit(count_calibration, static_argnums=4)
ROUNDING = 2.0**-21  # of a confidence, which is counted in units of 2^-20


def count(*examples):
    return np.asarray(on_device(*examples))


def examples(seed):
    """Confidence, correct, labels and mask of some examples. Those that are masked have values that must not be used."""
    rng = np.random.default_rng(seed)
    confidence, correct = rng.random(EXAMPLES).astype(np.float32), rng.random(EXAMPLES) < 0.5
    labels, mask = rng.integers(0, CLASSES, EXAMPLES), rng.random(EXAMPLES) < 0.7
    return np.where(mask, confidence, np.nan), correct, np.where(mask, labels, -1), mask


def by_a_loop(confidence, correct, labels, mask):
    sums = np.zeros((3, CLASSES, BINS))
    for p, is_correct, label, is_example in zip(confidence, correct, labels, mask, strict=True):
        for number in range(BINS):
            if is_example and number / BINS < p <= (number + 1) / BINS:
                sums[:, label, number] += (1, p, is_correct)
    return sums


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_sums_equal_a_loop_over_the_examples_that_are_not_masked(seed):
    expected = by_a_loop(*examples(seed))
    sums = calibration(count(*examples(seed), CLASSES))
    np.testing.assert_array_equal(sums.examples, expected[0])
    np.testing.assert_allclose(sums.confidence, expected[1], atol=EXAMPLES * ROUNDING)
    np.testing.assert_array_equal(sums.correct, expected[2])
    gaps = [abs(correct - confidence) for _, confidence, correct in expected.sum(1).T]
    assert expected_calibration_error(sums) == pytest.approx(sum(gaps) / expected[0].sum(), abs=1e-6)
    np.testing.assert_allclose(mean_confidence(sums), expected[1].sum(1) / expected[0].sum(1), atol=1e-6)


def test_counts_on_the_host_are_those_of_the_device():
    confidence, correct, labels, mask = (array[examples(1)[3]] for array in examples(1))
    edges = np.arange(1, BINS, dtype=np.float32) / np.float32(BINS)
    confidence[: len(edges)] = edges[: len(confidence)]
    expected = count(confidence, correct, labels, mask, CLASSES)
    np.testing.assert_array_equal(count_on_host(confidence, correct, labels, CLASSES), expected)


def test_sums_are_the_same_to_the_last_bit_in_any_order_and_in_any_batches():
    arrays = examples(3)
    whole = count(*arrays, CLASSES)
    order = np.random.default_rng(0).permutation(EXAMPLES)
    halves = [[array[order][part] for array in arrays] for part in (slice(0, 20), slice(20, 40))]
    np.testing.assert_array_equal(sum(np.asarray(count(*half, CLASSES)) for half in halves), whole)


def test_a_bin_has_its_upper_edge_and_not_its_lower():
    edges = np.float32([k / BINS for k in range(1, BINS + 1)])
    assert np.asarray(bin_of(jnp.asarray(edges))).tolist() == list(range(BINS))
    successors = np.nextafter(edges[:-1], np.float32(1))
    assert np.asarray(bin_of(jnp.asarray(successors))).tolist() == list(range(1, BINS))


def test_the_least_and_the_greatest_confidence_lie_in_the_first_and_the_last_bin():
    """Fifteen equal logits are as unsure as 15 classes allow; a single class is certain."""
    unsure, certain = softmax_confidence(jnp.full((1, BINS), 3.7)), softmax_confidence(jnp.full((1, 1), -88.0))
    assert unsure[0] == np.float32(1 / 15) and certain[0] == 1
    logits = jnp.array([[0.0, 100.0], [-1e30, 1e30]])  # their exponentials overflow
    assert softmax_confidence(logits).tolist() == [1, 1]
    confidence = np.concatenate([unsure, certain])
    sums = calibration(count(confidence, np.ones(2, bool), np.zeros(2, int), np.ones(2, bool), 1))
    assert np.flatnonzero(sums.examples).tolist() == [0, BINS - 1]
    assert sums.confidence.sum() == pytest.approx(1 / 15 + 1, abs=2 * ROUNDING)


def test_confidence_is_the_largest_softmax_probability_or_by_sigmoids_that_of_a_pair():
    logits, bias = np.random.default_rng(0).normal(0, 9, (20, 7)), -10.0
    powers = np.exp(logits)
    expected = (powers / powers.sum(1, keepdims=True)).max(1)
    np.testing.assert_allclose(softmax_confidence(jnp.asarray(logits, jnp.float32)), expected, rtol=1e-5)
    expected = (1 / (1 + np.exp(-(logits + bias)))).max(1)
    confidence = sigmoid_confidence(jnp.asarray(logits, jnp.float32), jnp.float32(bias))
    np.testing.assert_allclose(confidence, expected, rtol=1e-5)
    assert sigmoid_confidence(jnp.array([[-1e30, -2e30], [1e30, 0]]), jnp.float32(bias)).tolist() == [0, 1]


def test_two_million_certain_examples_of_a_class_fit_in_a_bin():
    counts = count(np.ones(1, np.float32), np.ones(1, bool), np.zeros(1, int), np.ones(1, bool), 1)
    assert 2_000_000 * counts.astype(np.int64).max() < 2**31 and counts.dtype == np.int32
    assert calibration(2_000_000 * counts.astype(np.int64)).confidence.sum() == 2_000_000
