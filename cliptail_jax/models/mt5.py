"""The encoder of mT5 as a text tower (Xue et al. 2021, arXiv 2010.11934; T5: Raffel et al. 2020, arXiv 1910.10683).

A pre-norm transformer without biases and without position embeddings: the distance between two tokens adds a learned
number to their attention logit, the same in all layers. MLPs are gated by GELU. Parameters have the names of the
published state dicts: `embed_tokens`, `block.N.layer`, `final_layer_norm`. mT5-base has width 768, 12 layers and 12 heads.
"""

import math
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Float, Int

from cliptail_jax.models.attention import States
from cliptail_jax.models.dropout import Dropout, attend_dropping
from cliptail_jax.models.layers import Tokens, Valid, normal_linear
from cliptail_jax.models.remat import RematBlock
from cliptail_jax.models.transformer import ACTIVATIONS

Bias = Float[Array, "1 heads length length"]


@dataclass(frozen=True)
class MT5Shape:
    """The sizes of an encoder.

    Attributes:
      head_width: of each of the `heads`, which need not add up to `width`.
      inner: the width within MLPs.
      buckets: the number of learned numbers for distances, per head.
      max_distance: larger distances share one number.
    """

    vocab_size: int
    width: int
    layers: int
    heads: int
    head_width: int
    inner: int
    buckets: int = 32
    max_distance: int = 128
    epsilon: float = 1e-6
    pad_id: int = 0

    max_context = math.inf  # distances have no end

    def encoder(self, **options) -> "MT5":
        """An encoder of these sizes; `options` are those of `MT5`."""
        return MT5(self, **options)


def distance_buckets(length: int, buckets: int, max_distance: int) -> Int[np.ndarray, "query key"]:
    """The bucket of each distance between two of `length` tokens.

    Half of them are for keys after the query. Within a half, short distances have a bucket each, and longer ones share one
    by their logarithm, up to `max_distance` (arXiv 1910.10683, section 2.1).
    """
    distance = np.arange(length)[None, :] - np.arange(length)[:, None]
    side_buckets = buckets // 2
    single = side_buckets // 2
    ratio = np.log(np.maximum(np.abs(distance), 1) / single) / math.log(max_distance / single)
    shared = np.minimum(single + (ratio * (side_buckets - single)).astype(int), side_buckets - 1)
    return np.where(distance > 0, side_buckets, 0) + np.where(np.abs(distance) < single, np.abs(distance), shared)


def rms_norm(shape: MT5Shape, *, dtype, rngs: nnx.Rngs) -> nnx.RMSNorm:
    """Division by the root of the mean square, in float32, and a gain."""
    return nnx.RMSNorm(shape.width, epsilon=shape.epsilon, dtype=dtype, rngs=rngs)


class SelfAttention(nnx.Module):
    """Multi-head attention with logits that are not divided by the root of the head's width."""

    def __init__(self, shape: MT5Shape, *, with_bias: bool, dtype, rngs: nnx.Rngs):
        options = {"use_bias": False, "dtype": dtype, "rngs": rngs}
        inner = shape.heads * shape.head_width
        self.heads, self.head_width = shape.heads, shape.head_width
        self.q = normal_linear(shape.width, inner, (shape.width * shape.head_width) ** -0.5, **options)
        self.k = normal_linear(shape.width, inner, shape.width**-0.5, **options)
        self.v = normal_linear(shape.width, inner, shape.width**-0.5, **options)
        self.o = normal_linear(inner, shape.width, inner**-0.5, **options)
        if with_bias:
            options = {"embedding_init": normal(shape.width**-0.5), "dtype": dtype, "rngs": rngs}
            self.relative_attention_bias = nnx.Embed(shape.buckets, shape.heads, **options)

    def __call__(self, x: States, bias: Bias, valid: Valid, dropout: Dropout) -> States:
        query = self.q(x) * math.sqrt(self.head_width)  # attention divides by this
        return self.o(attend_dropping(query, self.k(x), self.v(x), self.heads, valid, dropout, bias))


class Block(RematBlock):
    """Attention and MLP, each preceded by a norm and added to its input.

    The MLP is wo(GELU(wi_0 x) · wi_1 x) (Shazeer 2020, arXiv 2002.05202).
    """

    def __init__(self, shape: MT5Shape, *, with_bias: bool, dtype, rngs: nnx.Rngs):
        shared = {"dtype": dtype, "rngs": rngs}
        options = {"use_bias": False, **shared}
        attention = SelfAttention(shape, with_bias=with_bias, **shared)
        # Norms take keys as well, so that the first one precedes the MLP.
        first = nnx.Dict(SelfAttention=attention, layer_norm=rms_norm(shape, **shared))
        mlp = nnx.Dict(
            wi_0=normal_linear(shape.width, shape.inner, shape.width**-0.5, **options),
            wi_1=normal_linear(shape.width, shape.inner, shape.width**-0.5, **options),
            wo=normal_linear(shape.inner, shape.width, shape.inner**-0.5, **options),
        )
        self.layer = nnx.List([first, nnx.Dict(DenseReluDense=mlp, layer_norm=rms_norm(shape, **shared))])

    def forward(self, x: States, bias: Bias, *, valid: Valid, dropout: Dropout) -> States:
        first, second = self.layer
        attention_dropout = dropout.at(0)
        attended = first.SelfAttention(first.layer_norm(x), bias, valid, attention_dropout.at(0))
        x = x + attention_dropout.at(1)(attended)
        mlp, mlp_dropout, normed = second.DenseReluDense, dropout.at(1), second.layer_norm(x)
        hidden = ACTIVATIONS["gelu_tanh"](mlp.wi_0(normed)) * mlp.wi_1(normed)
        return x + mlp_dropout.at(1)(mlp.wo(mlp_dropout.at(0)(hidden)))


class MT5(nnx.Module):
    """The encoder, which gives the states of all tokens. It has no pooler, so that `with_pooler` has no effect."""

    def __init__(self, shape: MT5Shape, *, with_pooler: bool = False, dtype, rngs: nnx.Rngs):
        options = {"dtype": dtype, "rngs": rngs}
        self.buckets, self.max_distance = shape.buckets, shape.max_distance
        self.embed_tokens = nnx.Embed(shape.vocab_size, shape.width, embedding_init=normal(1.0), **options)
        self.block = nnx.List(Block(shape, with_bias=i == 0, **options) for i in range(shape.layers))
        self.final_layer_norm = rms_norm(shape, **options)

    def __call__(self, tokens: Tokens, valid: Valid, dropout: Dropout = Dropout()) -> States:
        x, layer_dropout = dropout.at(0)(self.embed_tokens(tokens)), dropout.at(1)
        bias = self._bias(tokens.shape[1])
        for i, block in enumerate(self.block):
            x = block(x, bias, valid=valid, dropout=layer_dropout.at(i))
        return dropout.at(2)(self.final_layer_norm(x))

    def _bias(self, length: int) -> Bias:
        """The first layer's learned bias for the attention logits of all layers."""
        table = self.block[0].layer[0].SelfAttention.relative_attention_bias
        by_pair = table(jnp.asarray(distance_buckets(length, self.buckets, self.max_distance)))
        return jnp.moveaxis(by_pair, -1, 0)[None]
