"""The tokens on which the features of text towers depend."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from quick import QUICK, draw

from cliptail_jax.models.bert import BertShape
from cliptail_jax.models.encoder_text import EncoderText
from cliptail_jax.models.m2m100 import M2M100Shape
from cliptail_jax.models.mt5 import MT5Shape
from cliptail_jax.models.text import TextTransformer

PAD = 1
encode = jax.jit(lambda model, tokens: model(tokens), compiler_options=QUICK)


SHAPES = {
    "bert": BertShape(20, 8, 1, 2, 16, positions=10, pad_id=PAD),
    "roberta": BertShape(20, 8, 1, 2, 16, positions=10, pad_id=PAD, counted_positions=True),
    "mt5": MT5Shape(20, 8, 1, 2, 3, 16, buckets=4, max_distance=8, pad_id=PAD),
    "nllb": M2M100Shape(20, 8, 1, 2, 16, 10, pad_id=PAD),
}


@pytest.mark.parametrize(
    "name, pooler",
    [
        ("bert", "mean_pooler"),
        ("bert", "cls_pooler"),
        ("roberta", "last_token_pooler"),
        ("mt5", "mean_pooler"),
        ("nllb", "last_token_pooler"),
    ],
)
def test_padding_has_no_effect_on_an_encoders_features(name, pooler):
    model = draw(lambda: EncoderText(SHAPES[name], 4, pooler=pooler, rngs=nnx.Rngs(0)))
    short = np.array([[2, 7, 9, 3]])
    padded = np.pad(short, [(0, 0), (0, 3)], constant_values=PAD)
    np.testing.assert_allclose(encode(model, padded), encode(model, short), rtol=1e-5, atol=1e-6)
    assert np.abs(encode(model, np.array([[2, 7, 8, 3]])) - encode(model, short)).max() > 1e-3


@pytest.mark.parametrize("pool, place", [("first", 0), ("last", 5), ("eos", 3), ("argmax", 4)])
def test_the_pooled_token_is_the_one_that_is_named(pool, place):
    model = draw(lambda: TextTransformer(6, 20, 8, 1, 2, 4, pool=pool, eos_id=17, rngs=nnx.Rngs(0)))
    tokens = np.array([[18, 5, 6, 17, 19, 17]])
    before = encode(model, tokens)
    later = tokens.copy()
    later[0, place + 1 :] = 4
    if pool in ("eos", "argmax"):
        np.testing.assert_allclose(encode(model, later), before, rtol=1e-6)
    changed = tokens.copy()
    changed[0, place if pool in ("first", "last") else 1] = 3
    assert np.abs(encode(model, changed) - before).max() > 1e-3


def test_a_state_is_projected_by_a_matrix_by_a_layer_with_bias_or_not_at_all():
    state = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8)), jnp.float32)
    for projection in ("linear", "biased", "none"):
        model = draw(lambda p=projection: TextTransformer(6, 20, 8, 1, 2, 8, projection=p, rngs=nnx.Rngs(0)))
        weights = model.text_projection
        if projection == "biased":
            expected = state @ weights.kernel[...] + weights.bias[...]
        else:
            expected = state if projection == "none" else state @ weights[...]
        np.testing.assert_allclose(model.project(state), expected, rtol=1e-5, atol=1e-5)
    assert model.text_projection is None


def test_without_causality_the_first_token_sees_the_last():
    changed = {}
    for causal in (True, False):
        model = draw(lambda: TextTransformer(6, 20, 8, 1, 2, 4, pool="first", causal=causal, rngs=nnx.Rngs(0)))
        tokens = np.array([[18, 5, 6, 7, 8, 9], [18, 5, 6, 7, 8, 4]])
        first, second = encode(model, tokens)
        changed[causal] = np.abs(first - second).max()
    assert changed[True] == 0 and changed[False] > 1e-3
