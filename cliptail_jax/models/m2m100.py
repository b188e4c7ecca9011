"""The encoder of M2M-100 and NLLB as a text tower (Fan et al. 2021, arXiv 2010.11125; NLLB Team 2022, arXiv 2207.04672).

A pre-norm transformer with sinusoidal positions. Parameters have the names of the published state dicts: `embed_tokens`,
`layers.N`, `layer_norm`. NLLB-200-distilled-600M has width 1024, 12 layers, 16 heads and inner width 4096.
"""

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Float, Int

from cliptail_jax.models.attention import States
from cliptail_jax.models.dropout import Dropout, attend_with_dropout
from cliptail_jax.models.layers import Tokens, Valid, layer_norm, normal_linear
from cliptail_jax.models.remat import RematBlock
from cliptail_jax.models.transformer import CONFIGURATION, head_width


@dataclass(frozen=True)
class M2M100Shape:
    """The sizes of an encoder.

    With `scales_embeddings`, token embeddings are multiplied by the root of the width. Positions are those of tokens other than
    padding, from pad_id + 1.
    """

    vocab_size: int
    width: int
    layers: int
    heads: int
    inner: int
    max_context: int
    scales_embeddings: bool = True
    pad_id: int = 1

    def encoder(self, **options) -> "M2M100":
        """An encoder of these sizes; `options` are those of `M2M100`."""
        return M2M100(self, **options)


def sinusoids(positions: Int[Array | np.ndarray, "batch length"], width: int) -> Float[Array, "batch length width"]:
    """Sines and then cosines of the positions times width/2 frequencies, from 1 down to 1/10,000."""
    half = width // 2
    frequencies = np.exp(-math.log(10_000) / (half - 1) * np.arange(half))
    angles = positions[..., None] * frequencies.astype(np.float32)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)


class M2M100Attention(nnx.Module):
    """Multi-head attention to all tokens but padding."""

    def __init__(self, shape: M2M100Shape, *, dtype, rngs: nnx.Rngs):
        head_width(CONFIGURATION, shape.heads, shape.width)
        self.heads = shape.heads
        self.k_proj = normal_linear(shape.width, shape.width, dtype=dtype, rngs=rngs)
        self.v_proj = normal_linear(shape.width, shape.width, dtype=dtype, rngs=rngs)
        self.q_proj = normal_linear(shape.width, shape.width, dtype=dtype, rngs=rngs)
        self.out_proj = normal_linear(shape.width, shape.width, dtype=dtype, rngs=rngs)

    def __call__(self, x: States, valid: Valid, dropout: Dropout) -> States:
        query, key, value = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        return self.out_proj(attend_with_dropout(query, key, value, self.heads, valid, dropout))


class M2M100Layer(RematBlock):
    """Attention and MLP, each preceded by layer norm and added to its input."""

    def __init__(self, shape: M2M100Shape, *, dtype, rngs: nnx.Rngs):
        options = {"dtype": dtype, "rngs": rngs}
        self.self_attn = M2M100Attention(shape, **options)
        self.self_attn_layer_norm = layer_norm(shape.width, **options)
        self.fc1 = normal_linear(shape.width, shape.inner, **options)
        self.fc2 = normal_linear(shape.inner, shape.width, **options)
        self.final_layer_norm = layer_norm(shape.width, **options)

    def forward(self, x: States, *, valid: Valid, dropout: Dropout) -> States:
        outputs = self.self_attn(self.self_attn_layer_norm(x), valid, dropout.at(0))
        x = x + dropout.at(1)(outputs)
        return x + dropout.at(2)(self.fc2(jax.nn.relu(self.fc1(self.final_layer_norm(x)))))


class M2M100(nnx.Module):
    """The encoder, which gives the states of all tokens. It has no pooler, so `with_pooler` has no effect."""

    def __init__(self, shape: M2M100Shape, *, with_pooler: bool = False, dtype, rngs: nnx.Rngs):
        options = {"dtype": dtype, "rngs": rngs}
        self.scale = math.sqrt(shape.width) if shape.scales_embeddings else 1.0
        self.pad_id = shape.pad_id
        self.embed_tokens = nnx.Embed(shape.vocab_size, shape.width, embedding_init=normal(0.02), **options)
        self.layers = nnx.List(M2M100Layer(shape, **options) for _ in range(shape.layers))
        self.layer_norm = layer_norm(shape.width, **options)

    def __call__(self, tokens: Tokens, valid: Valid, dropout: Dropout = Dropout()) -> States:
        words = self.embed_tokens(tokens) * self.scale
        positions = sinusoids(jnp.cumsum(valid, 1) + self.pad_id, words.shape[-1])  # those of padding have no effect
        x, layer_dropout = dropout.at(0)(words + positions.astype(words.dtype)), dropout.at(1)
        for i, layer in enumerate(self.layers):
            x = layer(x, valid=valid, dropout=layer_dropout.at(i))
        return self.layer_norm(x)
