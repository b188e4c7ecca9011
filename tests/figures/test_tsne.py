"""t-SNE against its definition, term by term."""

import numpy as np
import pytest

from cliptail_jax.figures.feature_maps import class_centres, spread_classes
from cliptail_jax.figures.tsne import (
    conditional_probabilities,
    gradient,
    neighbour_probabilities,
    principal_components,
    squared_distances,
    tsne,
)


@pytest.fixture(scope="module")
def clusters():
    """Three groups of twelve points each in ten dimensions, and which group each is of."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 12)
    return rng.normal(size=(3, 10))[labels] * 6 + rng.normal(size=(36, 10)), labels


def loss(p, y):
    """Σ p log(p / q), by loops."""
    points = len(y)
    kernel = np.array(
        [[1 / (1 + np.sum((y[i] - y[j]) ** 2)) if i != j else 0 for j in range(points)] for i in range(points)]
    )
    q = kernel / kernel.sum()
    return sum(p[i, j] * np.log(p[i, j] / q[i, j]) for i in range(points) for j in range(points) if i != j and p[i, j])


def test_distances_are_those_of_all_pairs(clusters):
    x, _ = clusters
    np.testing.assert_allclose(squared_distances(x), np.sum((x[:, None] - x) ** 2, axis=-1), atol=1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_every_point_has_the_perplexity_that_was_asked_for(clusters, scale):
    p = conditional_probabilities(squared_distances(clusters[0] * scale), 7.0)
    entropy = -np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0), axis=1)
    np.testing.assert_allclose(np.exp(entropy), 7, rtol=1e-6)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert np.all(np.diagonal(p) == 0)


def test_neighbour_probabilities_are_the_mean_of_both_ways(clusters):
    x = clusters[0][:9]
    p, one_way = neighbour_probabilities(x, 2.5), conditional_probabilities(squared_distances(x), 2.5)
    np.testing.assert_allclose(p, (one_way + one_way.T) / 18)
    assert p.sum() == pytest.approx(1)


def test_gradient_is_that_of_the_loss(clusters):
    x = clusters[0][:8]
    p, y, step = neighbour_probabilities(x, 2.0), np.random.default_rng(1).normal(size=(8, 2)), 1e-6
    numeric = np.zeros_like(y)
    for index in np.ndindex(y.shape):
        aside = np.zeros_like(y)
        aside[index] = step
        numeric[index] = (loss(p, y + aside) - loss(p, y - aside)) / (2 * step)
    np.testing.assert_allclose(gradient(p, y), numeric, rtol=1e-5, atol=1e-8)


def test_clusters_stay_together_and_the_loss_falls(clusters):
    x, labels = clusters
    y = tsne(x, perplexity=8)
    distances = squared_distances(y) + np.diag(np.full(len(y), np.inf))
    assert np.array_equal(labels[distances.argmin(axis=1)], labels)
    p = neighbour_probabilities(x, 8)
    assert loss(p, y) < 0.5 * loss(p, principal_components(x))
    assert np.abs(y.mean(axis=0)).max() < 1e-9
    np.testing.assert_array_equal(y, tsne(x, perplexity=8))


@pytest.mark.parametrize("points", [1, 2, 3, 4, 6])
def test_few_points_and_equal_points_have_finite_places(points):
    assert np.isfinite(tsne(np.random.default_rng(0).normal(size=(points, 3)), steps=30)).all()
    assert np.isfinite(tsne(np.ones((points, 3)), steps=30)).all()


def test_principal_components_are_those_of_the_covariance(clusters):
    x = clusters[0]
    values, vectors = np.linalg.eigh(np.cov(x.T))
    expected = (x - x.mean(axis=0)) @ vectors[:, ::-1][:, :2]
    np.testing.assert_allclose(np.abs(principal_components(x)), np.abs(expected), atol=1e-8)


def test_class_centres_are_the_means_of_the_classes_with_images():
    features, labels = np.arange(8.0).reshape(4, 2), np.array([3, 1, 3, 1])
    centres, present = class_centres(features, labels)
    assert present.tolist() == [1, 3]
    np.testing.assert_allclose(centres, [[4, 5], [2, 3]])


def test_spread_classes_run_from_the_most_frequent_to_the_rarest():
    assert spread_classes(np.array([5, 9, 1, 7, 3]), 3).tolist() == [1, 0, 2]
    assert spread_classes(np.array([5, 9]), 3).tolist() == [1, 0]
