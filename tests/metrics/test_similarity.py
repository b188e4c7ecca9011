import itertools

import numpy as np
import pytest

from cliptail_jax.metrics.similarity import ClassSimilarities


def cosine(a, b):
    return float(np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b)))


def similarities(features, labels, head, batch):
    streamed = ClassSimilarities(head)
    for start in range(0, len(features), batch):
        part = slice(start, start + batch)
        streamed.add(features[part], labels[part], np.ones(len(labels[part]), bool))
    return streamed.result()


@pytest.mark.parametrize("batch", [7, 100])
def test_streamed_equals_every_pair_one_by_one(batch):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 60)
    features = (rng.normal(size=(60, 8)) + 5 * rng.normal(size=(4, 8))[labels]).astype(np.float32)
    head = rng.normal(size=(4, 8)).astype(np.float32)
    result = similarities(features, labels, head, batch)
    exact, vectors = features.astype(np.float64), head.astype(np.float64)
    for label in range(4):
        images = exact[labels == label]
        pair_cosines = [cosine(a, b) for a, b in itertools.combinations(images, 2)]
        text_cosines = [cosine(image, vectors[label]) for image in images]
        assert result.image_image_similarity[label] == pytest.approx(np.mean(pair_cosines), rel=1e-12)
        assert result.image_text_similarity[label] == pytest.approx(np.mean(text_cosines), rel=1e-12)
        assert result.image_text_similarity_std[label] == pytest.approx(np.std(text_cosines), rel=1e-9)


def test_a_class_of_one_image_has_no_pair_and_one_without_has_nothing():
    result = similarities(np.array([[3.0, 4.0]]), np.array([1]), np.eye(2), 4)
    assert np.isnan(result.image_image_similarity).all()
    np.testing.assert_allclose(result.image_text_similarity, [np.nan, 0.8])
    np.testing.assert_allclose(result.image_text_similarity_std, [np.nan, 0])


def test_equal_images_are_at_one_and_a_zero_vector_at_zero():
    features = np.array([[2.0, 0], [5.0, 0], [0, 0], [0, 1.0]])
    result = similarities(features, np.array([0, 0, 1, 1]), np.eye(2), 3)
    np.testing.assert_allclose(result.image_image_similarity, [1, 0], atol=1e-12)
    np.testing.assert_allclose(result.image_text_similarity, [1, 0.5])


def test_slots_without_an_image_do_not_count():
    streamed = ClassSimilarities(np.eye(2))
    streamed.add(np.array([[1.0, 0], [0, 1.0], [1.0, 0]]), np.array([0, 0, 0]), np.array([True, False, True]))
    np.testing.assert_allclose(streamed.result().image_image_similarity, [1, np.nan])
