import numpy as np
import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.metrics.groups import group_accuracy, group_means, head_mid_tail


def test_thirds_go_from_frequent_to_rare():
    head, mid, tail = head_mid_tail(np.array([1, 50, 9, 0, 70, 20]))

    assert (head.tolist(), mid.tolist(), tail.tolist()) == ([4, 1], [5, 2], [0, 3])


def test_equal_frequencies_stay_in_label_order():
    groups = head_mid_tail(np.tile([5, 7], 30))  # long enough that an unstable sort would show

    assert np.concatenate(groups).tolist() == [*range(1, 60, 2), *range(0, 60, 2)]


def test_class_counts_can_be_given():
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


def test_groups_hold_neighbouring_classes_and_the_unseen_are_one_of_them():
    frequency = np.array([0, 100, 1, 0, 10, 1000])
    accuracy = np.array([0.1, 0.4, 0.2, 0.3, np.nan, 0.9])
    x, y = group_means(frequency, accuracy)
    np.testing.assert_allclose(x, [0, 1, 100, 1000])
    np.testing.assert_allclose(y, [0.2, 0.2, 0.4, 0.9])
