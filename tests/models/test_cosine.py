import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cliptail_jax.models.cosine import clip_logit_scale, cosine_logits, normalize


def test_normalize_gives_unit_length_along_the_last_axis():
    x = np.random.default_rng(0).normal(size=(2, 3, 5)).astype(np.float32) * 1e-3
    expected = x / np.linalg.norm(x.astype(np.float64), axis=-1, keepdims=True)
    np.testing.assert_allclose(normalize(jnp.asarray(x)), expected, rtol=1e-6)


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


@pytest.mark.parametrize("scale, expected", [(-1.0, 0.0), (3.0, 3.0), (5.0, math.log(100))])
def test_logit_scale_is_kept_between_zero_and_ln_100(scale, expected):
    assert float(clip_logit_scale(jnp.asarray(scale))) == pytest.approx(expected)
