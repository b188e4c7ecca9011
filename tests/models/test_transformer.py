import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from quick import QUICK, draw
from scipy.stats import norm

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


@pytest.mark.parametrize(
    "name, formula",
    [("gelu", lambda x: x * norm.cdf(x)), ("quick_gelu", lambda x: x / (1 + np.exp(-1.702 * x)))],
)
def test_activation_is_its_formula(name, formula):
    x = np.linspace(-4, 4, 33)
    np.testing.assert_allclose(ACTIVATIONS[name](jnp.asarray(x, jnp.float32)), formula(x), atol=2e-6)
