import numpy as np
import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.transfer.calibration import (
    error_after_temperature_scaling,
    error_of_logits,
    fit_temperature,
)
from cliptail_jax.transfer.configuration import FewShotOptions
from cliptail_jax.transfer.few_shot import few_shot_accuracies, mean_and_margin, sample_episodes
from tests.evaluation.plain_evaluation import error_by_a_loop, softmax


def predictions(count=400, classes=5, sharpness=3.0, seed=0):
    """Labels drawn from softmax(z), and the over-confident logits sharpness · z."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(count, classes))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)
    return sharpness * logits, labels


def test_the_error_equals_a_loop_over_bins():
    logits, labels = predictions()
    assert error_of_logits(logits, labels) == pytest.approx(error_by_a_loop(softmax(logits), labels), rel=1e-12)


def test_the_temperature_of_two_classes_has_a_closed_form():
    # Logits (a, 0), right 3 times in 4: the likelihood is greatest where sigmoid(a / T) = 3/4, T = a / log 3.
    assert fit_temperature(np.tile([5.0, 0.0], (4, 1)), np.array([0, 0, 0, 1])) == pytest.approx(
        5 / np.log(3), rel=1e-4
    )


def test_faultless_predictions_have_a_finite_temperature():
    assert 1e-3 <= fit_temperature(10 * np.eye(4), np.arange(4)) <= 1e3


def test_five_folds_fit_on_one_and_measure_on_the_others():
    logits, labels = predictions(203)
    fold_of = np.random.default_rng(1).permutation(np.arange(203) % 5)
    direct = []
    for fold in range(5):
        inside = fold_of == fold
        scaled = logits[~inside] / fit_temperature(logits[inside], labels[inside])
        direct.append(error_by_a_loop(softmax(scaled), labels[~inside]))
    assert error_after_temperature_scaling(logits, labels, seed=1) == pytest.approx(np.mean(direct), rel=1e-12)
    assert np.mean(direct) < error_of_logits(logits, labels) / 2


def test_too_few_examples_are_an_error():
    with pytest.raises(UserError, match="5 folds of 4 examples"):
        error_after_temperature_scaling(*predictions(4))


def images(classes=6, per_class=12, dim=8):
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(classes * per_class) % classes)
    return (rng.normal(size=(len(labels), dim)) + rng.normal(size=(classes, dim))[labels]).astype(np.float32), labels


def loop(features, episodes, shots):
    accuracies = []
    for episode in episodes:
        means = [features[way[:shots]].mean(0) for way in episode]
        right = []
        for own_class, way in enumerate(episode):
            for query in way[shots:]:
                right.append(np.argmin([((features[query] - mean) ** 2).sum() for mean in means]) == own_class)
        accuracies.append(np.mean(right))
    return np.array(accuracies)


def test_accuracies_equal_a_plain_loop():
    ways, shots, queries = 5, 5, 7
    features, labels = images()
    episodes = sample_episodes(labels, ways, shots + queries, 30, seed=1)
    direct = loop(features, episodes, shots)
    accuracies = few_shot_accuracies(features, labels, FewShotOptions(ways, shots, queries, 30), seed=1)
    np.testing.assert_allclose(accuracies, direct, atol=1e-6)
    expected = direct.mean(), 1.96 * direct.std(ddof=1) / np.sqrt(30)
    assert mean_and_margin(accuracies) == pytest.approx(expected, abs=1e-6)


def test_an_episode_has_different_classes_and_different_examples_of_each():
    labels = images()[1] * 10  # labels need not follow one another
    episodes = sample_episodes(labels, 5, 10, 40, seed=0)
    assert episodes.shape == (40, 5, 10)
    for episode in episodes:
        assert len(np.unique(episode)) == 50
        assert (labels[episode] == labels[episode[:, :1]]).all() and len(set(labels[episode[:, 0]])) == 5


def test_classes_and_shots_are_drawn_uniformly():
    labels = np.arange(20) % 4
    episodes = sample_episodes(labels, 2, 3, 4000, seed=0)
    assert np.bincount(episodes[:, :, 0].ravel(), minlength=20) / 8000 == pytest.approx(np.full(20, 0.05), abs=0.01)


def test_an_episode_larger_than_a_class_or_wider_than_the_set_is_named():
    labels = images()[1]
    with pytest.raises(UserError, match="has 12 examples, but an episode takes 13"):
        sample_episodes(labels, 5, 13, 1, seed=0)
    with pytest.raises(UserError, match="7-way episodes need 7 classes, but there are 6"):
        sample_episodes(labels, 7, 2, 1, seed=0)
