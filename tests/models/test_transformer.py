import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.stats import norm

from cliptail_jax.models.text import TextTransformer
from cliptail_jax.models.transformer import ACTIVATIONS, Transformer, pytorch_init

LENGTH, WIDTH = 6, 8


@jax.jit
def states(key, x):
    """States of a causal and of a full transformer."""
    options = {"init": pytorch_init(WIDTH), "dtype": jnp.float32}
    return [
        Transformer(WIDTH, 2, 2, "gelu", causal=causal, rngs=nnx.Rngs(key), **options)(x) for causal in (True, False)
    ]


def test_causal_attention_hides_later_tokens_only():
    key = jax.random.key(0)
    x = np.random.default_rng(0).normal(size=(1, LENGTH, WIDTH)).astype(np.float32)
    changed = x.copy()
    changed[:, 3] += 1
    (causal, full), (causal_changed, full_changed) = states(key, x), states(key, changed)
    np.testing.assert_array_equal(causal[:, :3], causal_changed[:, :3])
    assert np.abs(causal - causal_changed)[0, 3:].max(-1).min() > 1e-3
    assert np.abs(full - full_changed)[0].max(-1).min() > 1e-4


def test_text_features_come_from_the_highest_token_and_what_precedes_it():
    @jax.jit
    def encode(tokens):
        return TextTransformer(LENGTH, 20, WIDTH, 1, 2, 4, rngs=nnx.Rngs(0))(tokens)

    captions = jnp.array(
        [
            [18, 5, 6, 19, 0, 0],
            [18, 5, 6, 19, 7, 3],  # differs after the end of text
            [18, 5, 4, 19, 0, 0],  # differs before it
            [18, 5, 6, 1, 19, 0],  # ends later
        ]
    )
    first, after, before, later = np.asarray(encode(captions))
    np.testing.assert_allclose(after, first, rtol=1e-6)
    assert np.abs(before - first).max() > 1e-4
    assert np.abs(later - first).max() > 1e-4


@pytest.mark.parametrize(
    "name, formula",
    [("gelu", lambda x: x * norm.cdf(x)), ("quick_gelu", lambda x: x / (1 + np.exp(-1.702 * x)))],
)
def test_activation_is_its_formula(name, formula):
    x = np.linspace(-4, 4, 33)
    np.testing.assert_allclose(ACTIVATIONS[name](jnp.asarray(x, jnp.float32)), formula(x), atol=2e-6)
