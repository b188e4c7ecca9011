import jax.numpy as jnp
import numpy as np
import pytest

from cliptail_jax.metrics import neural_collapse as module
from cliptail_jax.metrics.neural_collapse import NeuralCollapse, neural_collapse

pytestmark = pytest.mark.filterwarnings("error")


def direct(features, labels, head):
    """The definitions, word by word, in float64: loops over classes and pairs, [dim, dim] matrices."""
    features, num_classes = np.asarray(features, np.float64), len(head)
    dim, present = features.shape[1], [c for c in range(num_classes) if (labels == c).any()]
    total = sum((labels == c).sum() for c in present)
    mean = {c: features[labels == c].mean(axis=0) for c in present}
    middle = np.mean(list(mean.values()), axis=0)
    covariance = sum(np.outer(mean[c] - middle, mean[c] - middle) for c in present) / len(present)
    inverse = np.linalg.pinv(covariance, rcond=dim * np.finfo(np.float64).eps, hermitian=True)

    def cosine(a, b):
        return a @ b / np.sqrt((a @ a) * (b @ b))

    result = np.full((6, num_classes), np.nan)
    for c in present:
        rows = features[labels == c]
        pairs = [cosine(rows[i], rows[j]) for i in range(len(rows)) for j in range(len(rows)) if i != j]
        result[0, c] = np.mean(pairs) if pairs else np.nan
        result[1, c] = np.trace(sum(np.outer(h - mean[c], h - mean[c]) for h in rows) / total @ inverse)
        deviations = [cosine(mean[c] - middle, mean[o] - middle) + 1 / (len(present) - 1) for o in present if o != c]
        result[2:4, c] = np.mean(np.abs(deviations)), np.max(np.abs(deviations))
    for c in range(num_classes):
        deviations = [cosine(head[c], head[o]) + 1 / (num_classes - 1) for o in range(num_classes) if o != c]
        result[4:, c] = np.mean(np.abs(deviations)), np.max(np.abs(deviations))
    return NeuralCollapse(*result)


def example(classes, dim, samples=60, seed=0, offset=3.0):
    """Features far from the origin whose directions differ in scale; the last label is a class with one sample."""
    rng = np.random.default_rng(seed)
    labels = np.append(rng.permutation(np.arange(samples) % (classes - 1)), classes - 1)
    scales = np.geomspace(1, 0.01, dim)
    features = offset + scales * (rng.normal(size=(classes, dim))[labels] + rng.normal(size=(samples + 1, dim)))
    return features, labels, rng.normal(size=(classes, 7))


def assert_same(result, expected):
    for name in NeuralCollapse._fields:
        np.testing.assert_allclose(getattr(result, name), getattr(expected, name), rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("classes, dim", [(5, 16), (16, 5), (2, 3)], ids=str)
@pytest.mark.parametrize("dtype", [np.float64, jnp.bfloat16], ids=["float64", "bfloat16"])
def test_measures_equal_the_direct_formula(classes, dim, dtype):
    features, labels, head = example(classes, dim)
    features = features.astype(dtype)

    assert_same(neural_collapse(features, labels, head), direct(features, labels, head))


def test_samples_in_several_blocks_are_counted_once(monkeypatch):
    features, labels, head = example(5, 16)
    monkeypatch.setattr(module, "BLOCK", 7)

    assert_same(neural_collapse(features, labels, head), direct(features, labels, head))


def test_class_without_samples_is_nan_and_left_out_of_the_others():
    features, labels, head = example(5, 16)
    gap = np.where(labels >= 2, labels + 1, labels)  # class 2 of 6 has no sample
    result = neural_collapse(features, gap, np.insert(head, 2, 1.0, axis=0))
    expected = neural_collapse(features, labels, head)

    for name in NeuralCollapse._fields[:4]:
        assert np.isnan(getattr(result, name)[2]), name
        np.testing.assert_array_equal(np.delete(getattr(result, name), 2), getattr(expected, name))


def test_collapsed_simplex_is_a_perfect_zero():
    simplex = np.eye(6) - 1 / 6
    result = neural_collapse(np.repeat(2 + 3 * simplex, 4, axis=0), np.repeat(np.arange(6), 4), simplex)

    np.testing.assert_allclose(result.within_class_similarity, 1)
    np.testing.assert_allclose(result[1:], 0, atol=1e-14)


def test_zero_vector_is_orthogonal_to_every_other():
    result = neural_collapse(np.array([[0.0, 0], [1, 0], [2, 0]]), np.array([0, 0, 0]), np.ones((1, 2)))

    np.testing.assert_allclose(result.within_class_similarity, 1 / 3)
