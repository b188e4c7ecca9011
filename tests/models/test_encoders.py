"""What text encoders do beyond the features of tests/pretrained/test_parity.py: training, types, dropout, padding."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.models.bert import BertShape
from cliptail_jax.models.build import OneKey
from cliptail_jax.models.dropout import Dropout
from cliptail_jax.models.encoder_text import EncoderText
from cliptail_jax.models.m2m100 import M2M100Shape, sinusoids
from cliptail_jax.models.remat import rematerialize
from tests.models.published_names import flat
from tests.models.quick import QUICK, draw

PAD = 1
SHAPES = {
    "nllb": M2M100Shape(20, 8, 2, 2, 16, 10, pad_id=PAD),
    "bert": BertShape(20, 8, 2, 2, 16, positions=10, pad_id=PAD),
}
PLACES = 1 + 3 * 2  # where they drop out: the embeddings; of each layer, the attention, its output and that of its MLP
TOKENS = np.array([[2, 7, 9, 3, PAD, PAD], [2, 7, 8, 4, 9, 3]])


def tower(name, **options):
    return draw(lambda: EncoderText(SHAPES[name], 4, rngs=OneKey(), **options))


def test_gradients_reach_every_parameter_also_with_rematerialization_and_features_in_bfloat16_are_close():
    model, rematerialized_model, half = tower("nllb"), tower("nllb"), tower("nllb", dtype=jnp.bfloat16)
    rematerialize(rematerialized_model)

    @partial(jax.jit, compiler_options=QUICK)
    def compute(models, half):
        gradients = [nnx.grad(lambda model: (model(TOKENS) ** 2).sum())(model) for model in models]
        return gradients, models[0](TOKENS), half(TOKENS)

    (plain, recomputed), exact, rough = compute((model, rematerialized_model), half)
    plain = flat(plain)
    for path, gradient in flat(recomputed).items():
        assert np.abs(gradient).max() > 0 or path[-2:] == ("k_proj", "bias"), path
        np.testing.assert_allclose(gradient, plain[path], rtol=1e-5, atol=1e-7)
    assert rough.dtype == jnp.float32 and np.abs(rough - exact).max() > 0
    np.testing.assert_allclose(rough, exact, atol=0.05 * np.abs(exact).max())


def test_padding_has_no_effect_on_the_last_tokens_state():
    """The other poolers are in open_clip's models, whose features with padding are stored."""
    model = tower("bert", pooler="last_token_pooler")
    encode = jax.jit(lambda tokens: model(tokens), compiler_options=QUICK)
    short = np.array([[2, 7, 9, 3]])
    padded_tokens = np.pad(short, [(0, 0), (0, 3)], constant_values=PAD)
    np.testing.assert_allclose(encode(padded_tokens), encode(short), rtol=1e-5, atol=1e-6)
    assert np.abs(encode(np.array([[2, 7, 9, 4]])) - encode(short)).max() > 1e-3


@pytest.mark.parametrize("name", SHAPES)
def test_every_place_drops_by_a_key_of_its_own_and_none_without_a_key(name, monkeypatch):
    keys, draw_mask = [], jax.random.bernoulli

    def recorded(key, *arguments):
        keys.append(jax.random.key_data(key).tobytes())
        return draw_mask(key, *arguments)

    monkeypatch.setattr(jax.random, "bernoulli", recorded)
    model = tower(name, dropout=0.1)
    nnx.eval_shape(lambda model: model(TOKENS), model)
    assert not keys
    model(TOKENS, jax.random.key(0))
    assert len(keys) == len(set(keys)) == PLACES


def test_dropout_of_the_embeddings_keeps_their_mean():
    embeddings, rate, draws = tower("bert").transformer.embeddings, 0.1, 4000
    expected = embeddings(TOKENS, Dropout())
    keys = jax.random.split(jax.random.key(0), draws)
    values = jax.jit(jax.vmap(lambda key: embeddings(TOKENS, Dropout(rate, key))))(keys)
    assert abs((values == 0).mean() - rate) < 0.002
    standard_error = np.abs(expected) * np.sqrt(rate / (1 - rate) / draws)
    assert (np.abs(values.mean(0) - expected) < 5 * standard_error + 1e-6).all()


def test_each_caption_and_head_drops_its_own_attention():
    attention = tower("bert").transformer.encoder.layer[0].attention.self
    x = jnp.broadcast_to(jax.random.normal(jax.random.key(1), (5, 4)), (2, 5, 4))
    x = jnp.concatenate([x, x], 2)
    for projected in (attention.query, attention.key, attention.value):  # equal heads
        projected.kernel[...], projected.bias[...] = jnp.eye(8), jnp.zeros(8)
    by_head = attention(x, np.ones((2, 5), bool), Dropout(0.5, jax.random.key(0))).reshape(2, 5, 2, 4)
    assert np.abs(by_head[:, :, 0] - by_head[:, :, 1]).max() > 0.1
    assert np.abs(by_head[0] - by_head[1]).max() > 0.1


def test_positions_are_sines_and_cosines_of_frequencies_down_to_a_ten_thousandth():
    positions = sinusoids(np.array([[0, 1, 70]]), 6)[0]
    angles = np.array([0, 1, 70])[:, None] * np.array([1, 1e-2, 1e-4])
    np.testing.assert_allclose(positions, np.concatenate([np.sin(angles), np.cos(angles)], 1), atol=1e-5)
