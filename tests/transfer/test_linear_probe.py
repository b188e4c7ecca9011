import numpy as np
import pytest
import scipy.optimize
import scipy.special

from cliptail_jax.curation.selection import seeded_split
from cliptail_jax.errors import UserError
from cliptail_jax.transfer.linear_probe import Linear, fit_binary_path, fit_path, predict

CLASSES = 4


def examples(count=200, dim=6, separation=1.0, seed=0):
    """Features of uneven scale, far from the origin, as a network's are."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    centres = separation * np.random.default_rng(9).normal(size=(CLASSES, dim))
    features = (centres[labels] + rng.normal(size=(count, dim))) * np.logspace(0.5, -1, dim) + 2
    return features.astype(np.float32), labels


def objective(parameters, features, labels, weight_decay):
    """Mean loss + λ/(2N)|W|² and its gradient, in float64."""
    features, one_hot = features.astype(np.float64), np.eye(CLASSES)[labels]
    weights, bias = np.split(parameters, [features.shape[1] * CLASSES])
    weights = weights.reshape(-1, CLASSES)
    log_probabilities = scipy.special.log_softmax(features @ weights + bias, axis=1)
    error = (np.exp(log_probabilities) - one_hot) / len(labels)
    decay = weight_decay / len(labels)
    value = -(one_hot * log_probabilities).sum(1).mean() + decay / 2 * (weights**2).sum()
    return value, np.concatenate([(features.T @ error + decay * weights).ravel(), error.sum(0)])


def flat(classifier):
    return np.concatenate([np.ravel(classifier.weights), np.ravel(classifier.bias)]).astype(np.float64)


def direct_optimum(data, weight_decay):
    features, _ = data
    start = np.zeros(features.shape[1] * CLASSES + CLASSES)
    options = {"maxiter": 20_000, "maxfun": 50_000, "gtol": 1e-9, "ftol": 1e-15}
    arguments = (*data, weight_decay)
    return scipy.optimize.minimize(objective, start, arguments, "L-BFGS-B", jac=True, options=options)


@pytest.mark.parametrize("separation", [0.5, 3.0])
def test_the_path_reaches_the_optimum_of_each_weight_decay(separation):
    features, labels = data = examples(separation=separation)
    decays = np.logspace(4, -4, 5)
    path = fit_path(*data, CLASSES, decays)
    assert path.weights.shape == (5, 6, CLASSES) and path.bias.shape == (5, CLASSES)
    for decay, *one in zip(decays, *path):
        best = direct_optimum(data, decay)
        ours = objective(flat(Linear(*one)), *data, decay)[0]
        assert ours == pytest.approx(best.fun, rel=1e-4, abs=1e-7)
        weights, bias = np.split(best.x, [24])
        theirs = predict(Linear(weights.reshape(6, CLASSES).astype(np.float32), bias.astype(np.float32)), features)
        accuracies = [np.mean(guess == labels) for guess in (predict(Linear(*one), features), theirs)]
        assert accuracies[0] == pytest.approx(accuracies[1], abs=0.0051)  # one example


def test_binary_fits_side_by_side_are_those_of_two_classes_with_twice_the_weight_decay():
    (features, labels), decays = examples(), np.logspace(2, -2, 3)
    positives = np.stack([labels == 0, labels >= 2], 1)
    path = fit_binary_path(features, positives, decays)
    assert path.weights.shape == (3, 6, 2) and path.bias.shape == (3, 2)
    scores = features @ path.weights + path.bias[:, None]
    for column, positive in enumerate(positives.T):
        pair = fit_path(features, positive.astype(int), 2, 2 * decays)
        logits = features @ pair.weights + pair.bias[:, None]
        np.testing.assert_allclose(scores[:, :, column], logits[:, :, 1] - logits[:, :, 0], atol=0.02)


def test_more_dimensions_than_examples_and_a_constant_one_still_fit():
    rng = np.random.default_rng(0)
    features = np.c_[rng.normal(size=(20, 50)), np.ones(20)].astype(np.float32)
    labels = np.arange(20) % CLASSES
    (one,) = zip(*fit_path(features, labels, CLASSES, [1e-3]))
    assert (predict(Linear(*one), features) == labels).all()


def test_the_split_is_seeded_and_takes_its_share_of_every_class():
    labels = np.repeat([0, 1, 2], [50, 10, 1])
    kept, held_out = seeded_split(labels, 0.2, seed=3)
    assert sorted([*kept, *held_out]) == list(range(61))
    assert np.bincount(labels[held_out], minlength=3).tolist() == [10, 2, 0]
    np.testing.assert_array_equal(seeded_split(labels, 0.2, seed=3)[1], held_out)
    assert seeded_split(labels, 0.2, seed=4)[1].tolist() != held_out.tolist()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_nothing_or_everything_is_refused(share):
    with pytest.raises(UserError, match="share .* between 0 and 1"):
        seeded_split(np.arange(4), share)
