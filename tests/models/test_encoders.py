"""What the encoders of mT5 and NLLB do beyond the features of tests/pretrained/test_parity.py: training, types, dropout."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from published_names import flat
from quick import QUICK, draw

from cliptail_jax.models.bert import BertShape
from cliptail_jax.models.encoder_text import EncoderText
from cliptail_jax.models.m2m100 import M2M100Shape, sinusoids
from cliptail_jax.models.mt5 import MT5Shape, distance_buckets
from cliptail_jax.models.remat import rematerialize

SHAPES = {
    "mt5": MT5Shape(20, 8, 2, 2, 3, 16, buckets=4, max_distance=8, pad_id=1),
    "nllb": M2M100Shape(20, 8, 2, 2, 16, 10, pad_id=1),
    "bert": BertShape(20, 8, 2, 2, 16, positions=10, pad_id=1),
}
# Where they drop out: the embeddings and, of mT5, the last states; of a layer the attention, its output, the hidden and
# the output values of its MLP (NLLB's hidden ones are kept).
PLACES = {"mt5": 2 + 4 * 2, "nllb": 1 + 3 * 2, "bert": 1 + 3 * 2}
TOKENS = np.array([[2, 7, 9, 3, 1, 1], [2, 7, 8, 4, 9, 3]])


def tower(name, **options):
    return draw(lambda: EncoderText(SHAPES[name], 4, rngs=nnx.Rngs(0), **options))


@pytest.mark.parametrize("name", ["mt5", "nllb"])
def test_gradients_reach_every_parameter_and_are_the_same_with_rematerialization(name):
    @partial(jax.jit, compiler_options=QUICK)
    def gradients(model):
        return nnx.grad(lambda model: (model(TOKENS) ** 2).sum())(model)

    model = tower(name)
    plain = flat(gradients(model))
    rematerialize(model)
    for path, gradient in flat(gradients(model)).items():
        assert np.abs(gradient).max() > 0 or path[-2:] == ("k_proj", "bias"), path
        np.testing.assert_allclose(gradient, plain[path], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["mt5", "nllb"])
def test_features_in_bfloat16_are_close_and_float32(name):
    encode = jax.jit(lambda model: model(TOKENS), compiler_options=QUICK)
    exact, rough = (encode(tower(name, dtype=dtype)) for dtype in (jnp.float32, jnp.bfloat16))
    assert rough.dtype == jnp.float32
    np.testing.assert_allclose(rough, exact, atol=0.05 * np.abs(exact).max())
    assert np.abs(rough - exact).max() > 0


@pytest.mark.parametrize("name", SHAPES)
def test_every_place_drops_by_a_key_of_its_own_and_none_without_a_key(name, monkeypatch):
    keys, draw_mask = [], jax.random.bernoulli

    def recorded(key, *arguments):
        keys.append(jax.random.key_data(key).tobytes())
        return draw_mask(key, *arguments)

    monkeypatch.setattr(jax.random, "bernoulli", recorded)
    model = tower(name, dropout=0.1)
    model(TOKENS)
    assert not keys
    model(TOKENS, jax.random.key(0))
    assert len(keys) == len(set(keys)) == PLACES[name]


def test_distances_share_buckets_by_their_logarithm():
    """As arXiv 1910.10683 has it: 32 numbers, of which 16 for each direction, all distances from 128 on having the same."""
    of_query = distance_buckets(300, 32, 128)[150]
    assert of_query[150 - 7 : 151].tolist() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert of_query[151:158].tolist() == [17, 18, 19, 20, 21, 22, 23]
    for distance in range(8, 128):
        bucket = 8 + int(np.float32(8 * np.log(distance / 8) / np.log(16)))
        assert of_query[150 - distance] == bucket and of_query[150 + distance] == 16 + bucket
    assert set(of_query[:22]) == {15} and set(of_query[278:]) == {31}


def test_positions_are_sines_and_cosines_of_frequencies_down_to_a_ten_thousandth():
    found = sinusoids(np.array([[0, 1, 70]]), 6)[0]
    angles = np.array([0, 1, 70])[:, None] * np.array([1, 1e-2, 1e-4])
    np.testing.assert_allclose(found, np.concatenate([np.sin(angles), np.cos(angles)], 1), atol=1e-5)
