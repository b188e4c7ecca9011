import math

import jax
import jax.numpy as jnp
import numpy as np

from cliptail_jax.models.cosine import cosine_logits, normalize


def test_zero_features_stay_zero_with_finite_gradients():
    x = jnp.zeros((2, 3))
    np.testing.assert_array_equal(normalize(x), 0)
    assert np.isfinite(jax.grad(lambda x: normalize(x).sum())(x)).all()


def test_cosine_logits_are_scaled_cosines_whatever_the_lengths():
    random = np.random.default_rng(0)
    features, classes = random.normal(size=(4, 16)), random.normal(size=(3, 16))
    cosines = features @ classes.T / np.linalg.norm(features, axis=1)[:, None] / np.linalg.norm(classes, axis=1)
    logits = cosine_logits(jnp.asarray(features) * 7, jnp.asarray(classes) / 7, jnp.asarray(2.0))
    np.testing.assert_allclose(logits, math.exp(2) * cosines, rtol=1e-5, atol=1e-5)


def test_cosine_logits_of_bfloat16_features_are_float32():
    features = jnp.asarray(np.random.default_rng(0).normal(size=(4, 16)), jnp.bfloat16)
    logits = cosine_logits(features, features, jnp.asarray(0.0))
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(jnp.diagonal(logits), 1, rtol=1e-6)
