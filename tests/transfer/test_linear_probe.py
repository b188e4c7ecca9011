"""The linear probes beside scikit-learn's, along the path from strong to weak weight decay, and their split."""

import numpy as np
import pytest
import scipy.special
import scipy.stats

from cliptail_jax.curation.selection import seeded_split
from cliptail_jax.host.errors import UserError
from cliptail_jax.transfer.linear_probe import WEIGHT_DECAYS, Linear, fit_binary_path, fit_path, predict

CLASSES = 4


@pytest.fixture(scope="module")
def data():
    """Features of uneven scale, far from the origin; a fifth of the labels are drawn anew, so nothing separates them."""
    rng = np.random.default_rng(0)
    labels = np.arange(1000) % CLASSES
    features = (rng.normal(size=(CLASSES, 8))[labels] + rng.normal(size=(1000, 8))) * np.logspace(0.5, -1, 8) + 2
    labels = np.where(rng.random(1000) < 0.2, rng.integers(0, CLASSES, 1000), labels)
    return features.astype(np.float32), labels


def optimum(features, labels, weight_decay):
    """scikit-learn's, in float64, with tolerances that leave nothing to gain."""
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    model = linear_model.LogisticRegression(C=1 / weight_decay, tol=1e-6, max_iter=10_000)
    model.fit(features.astype(np.float64), labels)
    return Linear(model.coef_.T, model.intercept_)


def penalised(losses, weights, weight_decay):
    return losses.mean() + weight_decay / (2 * len(losses)) * (np.float64(weights) ** 2).sum()


def multinomial_loss(classifier, features, labels, weight_decay):
    logits = features.astype(np.float64) @ np.float64(classifier.weights) + np.float64(classifier.bias)
    losses = -scipy.special.log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return penalised(losses, classifier.weights, weight_decay)


def binary_loss(weights, bias, features, positive, weight_decay):
    logits = features.astype(np.float64) @ np.float64(weights) + np.float64(bias)
    return penalised(np.logaddexp(0, np.where(positive, -logits, logits)), weights, weight_decay)


def test_losses_and_accuracies_along_the_path_are_those_of_scikit_learn(data):
    features, labels = data
    path = fit_path(features, labels, CLASSES)
    for weight_decay, *parameters in list(zip(WEIGHT_DECAYS, *path, strict=True))[::11]:
        ours, theirs = Linear(*parameters), optimum(features, labels, weight_decay)
        losses = [multinomial_loss(classifier, features, labels, weight_decay) for classifier in (ours, theirs)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4), weight_decay
        accuracies = [np.mean(predict(classifier, features) == labels) for classifier in (ours, theirs)]
        assert accuracies[0] == pytest.approx(accuracies[1], abs=0.0011), weight_decay


def test_one_against_rest_fits_side_by_side_are_scikit_learns_binary_ones(data):
    features, labels = data
    positives = np.eye(CLASSES, dtype=bool)[labels]
    positives[:, 0] |= positives[:, 1]  # classes may share examples
    path = fit_binary_path(features, positives)
    assert path.weights.shape == (45, 8, CLASSES) and path.bias.shape == (45, CLASSES)
    for weight_decay, weights, bias in list(zip(WEIGHT_DECAYS, *path, strict=True))[::22]:
        for column, positive in enumerate(positives.T):
            theirs = optimum(features, positive, weight_decay)
            ours = binary_loss(weights[:, column], bias[column], features, positive, weight_decay)
            best = binary_loss(theirs.weights[:, 0], theirs.bias[0], features, positive, weight_decay)
            assert ours == pytest.approx(best, rel=1e-4), (weight_decay, column)
            # The order of the images, which average precision is about.
            scores = features @ np.asarray(weights)[:, column], features @ theirs.weights[:, 0]
            assert scipy.stats.spearmanr(*scores).statistic > 0.999


def test_more_dimensions_than_examples_and_a_constant_one_still_fit():
    rng = np.random.default_rng(0)
    features = np.c_[rng.normal(size=(20, 50)), np.ones(20)].astype(np.float32)
    labels = np.arange(20) % 4
    (parameters,) = zip(*fit_path(features, labels, 4, [1e-3]))
    assert (predict(Linear(*parameters), features) == labels).all()


def test_the_split_is_seeded_and_takes_its_share_of_every_class():
    labels = np.repeat([0, 1, 2], [50, 10, 1])
    training, held_out = seeded_split(labels, 0.2, seed=3)
    assert sorted([*training, *held_out]) == list(range(61))
    assert np.bincount(labels[held_out], minlength=3).tolist() == [10, 2, 0]
    np.testing.assert_array_equal(seeded_split(labels, 0.2, seed=3)[1], held_out)
    assert seeded_split(labels, 0.2, seed=4)[1].tolist() != held_out.tolist()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_nothing_or_everything_is_refused(share):
    with pytest.raises(UserError, match="share .* between 0 and 1"):
        seeded_split(np.arange(4), share)
