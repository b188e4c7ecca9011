import numpy as np
import pytest

from cliptail_jax.transfer.scores import (
    accuracy,
    eleven_point_average_precision,
    mean_average_precision,
    mean_per_class_accuracy,
)


def direct_average_precision(scores, positives):
    ranked = [positives[i] for i in sorted(range(len(scores)), key=lambda i: -scores[i])]
    points = [(sum(ranked[:k]) / sum(ranked), sum(ranked[:k]) / k) for k in range(1, len(ranked) + 1)]
    return sum(max(p for recall, p in points if recall >= r / 10 - 1e-9) for r in range(11)) / 11


def test_accuracies_count_examples_and_classes():
    labels, predictions = np.array([0, 0, 0, 1, 3]), np.array([0, 0, 1, 1, 2])
    assert accuracy(predictions, labels) == pytest.approx(3 / 5)
    per_class = [np.mean(predictions[labels == label] == label) for label in (0, 1, 3)]  # class 2 has no example
    assert mean_per_class_accuracy(predictions, labels) == pytest.approx(np.mean(per_class))


def test_average_precision_equals_a_direct_version():
    rng = np.random.default_rng(0)
    scores, positives = rng.normal(size=(60, 20)), rng.random((60, 20)) < 0.2
    positives[0] = True
    direct = [direct_average_precision(scores[:, c], positives[:, c]) for c in range(20)]
    for c in range(20):
        assert eleven_point_average_precision(scores[:, c], positives[:, c]) == pytest.approx(direct[c])
    assert mean_average_precision(scores, positives) == pytest.approx(np.mean(direct))
