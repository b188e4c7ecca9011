import math

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.groups import evenly, group_accuracy, group_means, head_mid_tail
from cliptail_jax.metrics.imbalance import gini, imbalance_ratio
from cliptail_jax.metrics.measures import ClassResults
from cliptail_jax.metrics.per_class import count_confusion, top_k_correct


def test_thirds_go_from_frequent_to_rare():
    head, mid, tail = head_mid_tail(np.array([1, 50, 9, 0, 70, 20]))

    assert (head.tolist(), mid.tolist(), tail.tolist()) == ([4, 1], [5, 2], [0, 3])


def test_equal_frequencies_stay_in_label_order():
    groups = head_mid_tail(np.tile([5, 7], 30))  # long enough that an unstable sort would show

    assert np.concatenate(groups).tolist() == [*range(1, 60, 2), *range(0, 60, 2)]


def test_numbers_of_classes_can_be_set():
    head, mid, tail = head_mid_tail(np.arange(100)[::-1], head=60, tail=20)

    assert head.tolist() == list(range(60)) and tail.tolist() == list(range(80, 100)) and len(mid) == 20


@pytest.mark.parametrize("head, tail", [(3, 2), (-1, 2), (0, -1)])
def test_sizes_that_do_not_fit_are_refused(head, tail):
    with pytest.raises(UserError, match=f"head={head} and tail={tail} do not fit in 4 classes"):
        head_mid_tail(np.arange(4), head=head, tail=tail)


def test_group_accuracy_is_the_percent_mean_over_classes_with_examples():
    accuracies = np.array([0.5, np.nan, 0.25, 1.0])

    assert group_accuracy(accuracies, np.array([0, 1, 2])) == 37.5
    assert np.isnan(group_accuracy(accuracies, np.array([1])))
    assert np.isnan(group_accuracy(accuracies, np.array([], int)))


def test_groups_contain_neighbouring_classes_and_the_unseen_classes_are_a_group():
    frequency = np.array([0, 100, 1, 0, 10, 1000])
    accuracy = np.array([0.1, 0.4, 0.2, 0.3, np.nan, 0.9])
    x, y = group_means(frequency, accuracy)
    np.testing.assert_allclose(x, [0, 1, 100, 1000])
    np.testing.assert_allclose(y, [0.2, 0.2, 0.4, 0.9])


@pytest.mark.parametrize("length, number, places", [(5, 3, [0, 2, 4]), (7, 3, [0, 3, 6]), (2, 3, [0, 1]), (0, 3, [])])
def test_places_are_evenly_spread_with_the_first_and_the_last(length, number, places):
    assert evenly(length, number).tolist() == places


@settings(deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30).filter(any))
def test_gini_is_half_the_relative_mean_difference(frequencies):
    x = np.array(frequencies)
    direct = np.abs(x[:, None] - x[None, :]).mean() / (2 * x.mean())
    assert gini(x) == pytest.approx(direct, abs=1e-12)


def test_imbalance_ratio_is_most_over_least():
    assert imbalance_ratio(np.array([500, 20, 5])) == 100
    assert imbalance_ratio(np.array([5, 0])) == math.inf


def test_no_record_at_all_is_undefined():
    assert math.isnan(gini(np.zeros(3, int))) and math.isnan(imbalance_ratio(np.zeros(3, int)))


BATCH, CLASSES = 12, 5
count = jax.jit(count_confusion, static_argnums=3)
top_k = jax.jit(top_k_correct, static_argnums=3)


def batch(seed):
    rng = np.random.default_rng(seed)
    labels, predictions = rng.integers(0, CLASSES, (2, BATCH))
    mask = rng.random(BATCH) < 0.7
    return np.where(mask, labels, rng.integers(-1, CLASSES, BATCH)), predictions, mask


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_confusion_counts_every_unmasked_example_once(seed):
    labels, predictions, mask = batch(seed)
    expected = np.zeros((CLASSES, CLASSES), int)
    for label, prediction, keep in zip(labels, predictions, mask, strict=True):
        if keep:
            expected[label, prediction] += 1

    np.testing.assert_array_equal(count(labels, predictions, mask, CLASSES), expected)


@pytest.mark.parametrize(
    "confusion, predictions, accuracy",
    [
        ([[3, 1, 0], [0, 0, 0], [2, 0, 4]], [5, 1, 4], [0.75, np.nan, 4 / 6]),
        ([[2**31 - 1] * 2] * 2, [2**32 - 2] * 2, [0.5, 0.5]),  # sums beyond int32
    ],
)
def test_rows_are_true_classes_and_columns_predicted_ones(confusion, predictions, accuracy):
    results = ClassResults.from_confusion(np.array(confusion, np.int32))
    np.testing.assert_array_equal(results.predictions, predictions)
    np.testing.assert_allclose(results.accuracy, accuracy)


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
