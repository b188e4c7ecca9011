import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from quick import QUICK, draw
from scipy.stats import norm

from cliptail_jax.models.text import TextTransformer
from cliptail_jax.models.transformer import ACTIVATIONS, Transformer, pytorch_init

LENGTH, WIDTH = 6, 8


def transformer(causal: bool):
    options = {"causal": causal, "init": pytorch_init(WIDTH), "dtype": jnp.float32}
    return draw(lambda: Transformer(WIDTH, 2, 2, "gelu", rngs=nnx.Rngs(0), **options))


def test_causal_attention_hides_later_tokens_only():
    random = np.random.default_rng(0)
    x = random.normal(size=(1, LENGTH, WIDTH)).astype(np.float32)
    changed = x.copy()
    changed[:, 3] = random.normal(size=WIDTH)
    models = transformer(causal=True), transformer(causal=False)
    states = jax.jit(lambda models, x: [model(x) for model in models], compiler_options=QUICK)
    causal, full = (
        np.abs(after - before).max((0, 2))
        for before, after in zip(states(models, x), states(models, changed), strict=True)
    )
    np.testing.assert_array_equal(causal[:3], 0)
    assert causal[3:].min() > 1e-3
    assert full.min() > 1e-3


def test_text_features_come_from_the_highest_token_and_what_precedes_it():
    model = draw(lambda: TextTransformer(LENGTH, 20, WIDTH, 1, 2, 4, rngs=nnx.Rngs(0)))
    captions = jnp.array(
        [
            [18, 5, 6, 19, 0, 0],
            [18, 5, 6, 19, 7, 3],  # differs after the end of text
            [18, 5, 4, 19, 0, 0],  # differs before it
            [18, 5, 6, 1, 19, 0],  # ends later
        ]
    )
    encode = jax.jit(lambda model, tokens: model(tokens), compiler_options=QUICK)
    first, after, before, later = np.asarray(encode(model, captions))
    np.testing.assert_allclose(after, first, rtol=1e-6)
    assert np.abs(before - first).max() > 1e-3
    assert np.abs(later - first).max() > 1e-3


@pytest.mark.parametrize(
    "name, formula",
    [("gelu", lambda x: x * norm.cdf(x)), ("quick_gelu", lambda x: x / (1 + np.exp(-1.702 * x)))],
)
def test_activation_is_its_formula(name, formula):
    x = np.linspace(-4, 4, 33)
    np.testing.assert_allclose(ACTIVATIONS[name](jnp.asarray(x, jnp.float32)), formula(x), atol=2e-6)
