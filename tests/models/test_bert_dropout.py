"""BERT's dropout: its statistics, its keys, and that there is none without a key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from quick import QUICK, draw

from cliptail_jax.models.bert import BertShape
from cliptail_jax.models.dropout import Dropout
from cliptail_jax.models.encoder_text import EncoderText

SHAPE = BertShape(20, 8, 2, 2, 16, positions=10, pad_id=1)
TOKENS = np.array([[2, 7, 9, 3, 1], [2, 7, 9, 3, 1]])  # twice the same caption
encode = jax.jit(lambda model, key=None: model(TOKENS, key), compiler_options=QUICK)


def tower(dropout, **options):
    return draw(lambda: EncoderText(SHAPE, 4, dropout=dropout, rngs=nnx.Rngs(0), **options))


@pytest.mark.parametrize("pooler, dtype", [("mean_pooler", jnp.float32), ("cls_pooler", jnp.bfloat16)])
def test_without_a_key_or_a_rate_nothing_changes(pooler, dtype):
    plain, dropping = tower(0.0, pooler=pooler, dtype=dtype), tower(0.5, pooler=pooler, dtype=dtype)
    expected = encode(plain)
    assert expected.dtype == jnp.float32
    np.testing.assert_array_equal(encode(dropping), expected)
    np.testing.assert_array_equal(encode(plain, jax.random.key(0)), expected)


def test_features_are_a_function_of_the_key():
    model = tower(0.1)
    features = encode(model, jax.random.key(0))
    np.testing.assert_array_equal(encode(model, jax.random.key(0)), features)
    assert np.abs(encode(model, jax.random.key(1)) - features).max() > 1e-3
    assert np.isfinite(features).all()


def test_features_are_the_projection_of_the_pooled_states():
    for projection_type, dtype in ((None, jnp.float32), ("linear", jnp.bfloat16), ("mlp", jnp.bfloat16)):
        model = draw(
            lambda: EncoderText(SHAPE, 8, projection_type=projection_type, dropout=0.1, dtype=dtype, rngs=nnx.Rngs(0))
        )
        for key in (None, jax.random.key(0)):
            pooled = model.state(TOKENS, key)
            features = model.project(pooled)
            assert pooled.shape == features.shape == (2, 8) and pooled.dtype == features.dtype == jnp.float32
            np.testing.assert_array_equal(model(TOKENS, key), features)


def test_dropout_of_the_embeddings_keeps_their_mean():
    embeddings, rate, draws = tower(0.0).transformer.embeddings, 0.1, 4000
    expected = embeddings(TOKENS, Dropout())
    keys = jax.random.split(jax.random.key(0), draws)
    dropped = jax.jit(jax.vmap(lambda key: embeddings(TOKENS, Dropout(rate, key))))(keys)
    assert abs((dropped == 0).mean() - rate) < 0.002
    standard_error = np.abs(expected) * np.sqrt(rate / (1 - rate) / draws)
    assert (np.abs(dropped.mean(0) - expected) < 5 * standard_error + 1e-6).all()


def test_each_caption_and_head_drops_its_own_attention():
    attention = tower(0.0).transformer.encoder.layer[0].attention.self
    x = jnp.broadcast_to(jax.random.normal(jax.random.key(1), (5, 4)), (2, 5, 4))
    x = jnp.concatenate([x, x], 2)
    for projected in (attention.query, attention.key, attention.value):  # equal heads
        projected.kernel[...], projected.bias[...] = jnp.eye(8), jnp.zeros(8)
    valid = TOKENS != SHAPE.pad_id
    by_head = attention(x, valid, Dropout()).reshape(2, 5, 2, 4)
    np.testing.assert_array_equal(by_head[:, :, 0], by_head[:, :, 1])
    np.testing.assert_array_equal(by_head[0], by_head[1])
    by_head = attention(x, valid, Dropout(0.5, jax.random.key(0))).reshape(2, 5, 2, 4)
    assert np.abs(by_head[:, :, 0] - by_head[:, :, 1]).max() > 0.1
    assert np.abs(by_head[0] - by_head[1]).max() > 0.1


def test_attention_under_dropout_computes_its_softmax_in_float32():
    attention = tower(0.0, dtype=jnp.bfloat16).transformer.encoder.layer[0].attention.self
    x = jax.random.normal(jax.random.key(1), (2, 5, 8), jnp.bfloat16)
    projections = (attention.query, attention.key, attention.value)
    query, key, value = (p(x).astype(jnp.float32).reshape(2, 5, 2, 4) for p in projections)
    every = np.ones((2, 5), bool)
    expected = jax.nn.dot_product_attention(query, key, value).reshape(2, 5, 8)
    features = attention(x, every, Dropout(1e-7, jax.random.key(0)))  # a rate at which nothing is dropped here
    assert features.dtype == jnp.bfloat16
    np.testing.assert_allclose(features.astype(np.float32), expected, rtol=2**-8, atol=1e-6)


def test_dropout_adds_no_state_and_no_names():
    def names(model):
        return [".".join(map(str, path)) for path, _ in nnx.to_flat_state(nnx.state(model))]

    assert names(tower(0.1)) == names(tower(0.0))
    assert all(isinstance(leaf, nnx.Param) for _, leaf in nnx.to_flat_state(nnx.state(tower(0.1))))
