import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.metrics.per_class import (
    count_confusion,
    per_class_accuracy,
    per_class_predictions,
    top_k_correct,
)

BATCH, CLASSES = 12, 5
count = jax.jit(count_confusion, static_argnums=3)
top_k = jax.jit(top_k_correct, static_argnums=3)


def batch(seed):
    rng = np.random.default_rng(seed)
    labels, predictions = rng.integers(0, CLASSES, (2, BATCH))
    mask = rng.random(BATCH) < 0.7
    return np.where(mask, labels, -1), predictions, mask


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_confusion_counts_every_unmasked_example_once(seed):
    labels, predictions, mask = batch(seed)
    expected = np.zeros((CLASSES, CLASSES), int)
    for label, prediction, keep in zip(labels, predictions, mask, strict=True):
        if keep:
            expected[label, prediction] += 1

    np.testing.assert_array_equal(count(labels, predictions, mask, CLASSES), expected)


def test_padding_is_not_counted_even_with_a_valid_label():
    confusion = count(np.zeros(BATCH, int), np.zeros(BATCH, int), np.arange(BATCH) < 3, CLASSES)

    assert confusion.sum() == confusion[0, 0] == 3


def test_rows_are_true_classes_and_columns_predicted_ones():
    confusion = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 4]])

    np.testing.assert_allclose(per_class_accuracy(confusion), [0.75, np.nan, 4 / 6])
    np.testing.assert_array_equal(per_class_predictions(confusion), [5, 1, 4])


def test_counts_beyond_int32_are_exact():
    confusion = np.full((2, 2), 2**31 - 1, np.int32)

    np.testing.assert_array_equal(per_class_predictions(confusion), [2**32 - 2] * 2)
    np.testing.assert_array_equal(per_class_accuracy(confusion), [0.5, 0.5])


@pytest.mark.parametrize("k", [1, 2, 7])
@pytest.mark.parametrize("levels", [2, 1000])  # two levels: nearly every logit is tied
def test_top_k_agrees_with_a_stable_sort(k, levels):
    rng = np.random.default_rng(k)
    logits = rng.integers(0, levels, (BATCH, CLASSES)).astype(np.float32)
    labels, mask = rng.integers(0, CLASSES, BATCH), rng.random(BATCH) < 0.7
    ranked = np.argsort(-logits, axis=1, kind="stable")[:, :k]
    expected = ((ranked == labels[:, None]).any(axis=1) & mask).sum()

    assert top_k(logits, labels, mask, k) == expected


def test_logits_that_are_nan_are_not_correct():
    logits = np.full((BATCH, CLASSES), np.nan, np.float32)

    assert top_k(logits, np.zeros(BATCH, int), np.ones(BATCH, bool), 2) == 0
