"""Whether predictions are better than random ones."""

import numpy as np
import pytest
from scipy.stats import binomtest

from cliptail_jax.metrics.chance import chance_agreement, p_value_of_chance
from cliptail_jax.metrics.measures import ClassResults


def results_of(labels, predicted, classes):
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, predicted), 1)
    return ClassResults.from_confusion(confusion)


@pytest.mark.parametrize("share, classes", [(0.0, 10), (0.1, 2), (0.05, 100), (0.02, 10)])
def test_the_test_is_the_exact_binomial_one(share, classes):
    rng = np.random.default_rng(classes)
    labels = np.repeat(np.arange(classes), 1000 // classes)
    predicted = np.where(rng.random(len(labels)) < share, labels, rng.integers(classes, size=len(labels)))
    expected = binomtest(int((labels == predicted).sum()), len(labels), 1 / classes, alternative="greater").pvalue
    results = results_of(labels, predicted, classes)
    assert chance_agreement(results) == pytest.approx(1 / classes)
    assert p_value_of_chance(results) == pytest.approx(expected)


def test_a_model_that_predicts_only_the_most_frequent_class_is_at_chance():
    labels = np.repeat([0, 1, 2], [900, 60, 40])
    constant = results_of(labels, np.zeros(1000, int), 3)
    assert chance_agreement(constant) == pytest.approx(0.9) and p_value_of_chance(constant) > 0.4
    better = results_of(labels, np.where(np.arange(1000) < 930, 0, labels), 3)
    assert p_value_of_chance(better) < 1e-3


def test_without_right_examples_predictions_are_at_chance():
    assert p_value_of_chance(results_of(np.array([0, 1]), np.array([1, 0]), 2)) == 1
    assert p_value_of_chance(ClassResults(*np.zeros((3, 4), int))) == 1
