"""Blocks of timm's vision transformers, EVA's among them (names as in timm).

Initial weights are timm's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Float64

from cliptail_jax.models.attention import States, attend, split_heads
from cliptail_jax.models.layers import layer_norm, normal_linear
from cliptail_jax.models.remat import RematBlock
from cliptail_jax.models.rotary import rotate
from cliptail_jax.models.timm_layers import Mlp, QkvAttention
from cliptail_jax.models.transformer import ACTIVATIONS

Angles = Float64[np.ndarray, "cells half_head_width"]


def rotary_attend(query: States, key: States, value: States, heads: int, angles: Angles | None) -> States:
    """Multi-head attention. Queries and keys are first rotated by `angles`, those of rotary positions."""
    if angles is not None:
        query, key = (rotate(split_heads(x, heads), angles).reshape(x.shape) for x in (query, key))
    return attend(query, key, value, heads)


@dataclass(frozen=True)
class BlockShape:
    """Sizes of a block: its width, attention heads, the MLP's inner width and the layer norms' epsilon.

    `activation` is that of a plain MLP, a name in `transformer.ACTIVATIONS`. `output_std` is the standard deviation of the
    initial weights of projections into the residual stream.
    """

    width: int
    heads: int
    inner: int
    epsilon: float
    activation: str = "gelu"
    output_std: float = 0.02


class Attention(QkvAttention):
    """Self-attention with one projection for queries, keys and values, which may have rotary positions."""

    def __init__(self, shape: BlockShape, *, dtype, rngs: nnx.Rngs):
        super().__init__(shape.width, shape.heads, output_std=shape.output_std, dtype=dtype, rngs=rngs)

    def __call__(self, x: States, angles: Angles | None = None) -> States:
        """The output for each token. `angles` are those of rotary positions."""
        if angles is None:
            return super().__call__(x)
        return self.proj(rotary_attend(*jnp.split(self.qkv(x), 3, axis=-1), self.heads, angles))


def mlp(shape: BlockShape, *, dtype, rngs: nnx.Rngs) -> Mlp:
    """The MLP of a block."""
    options = {"activation": ACTIVATIONS[shape.activation], "last": partial(normal_linear, std=shape.output_std)}
    return Mlp(shape.width, shape.inner, shape.width, **options, dtype=dtype, rngs=rngs)


class Block(RematBlock):
    """Attention and MLP, each preceded by layer norm and added to its input.

    `attention` and `make_mlp` are called as `Attention` and `mlp`.
    """

    def __init__(
        self,
        shape: BlockShape,
        *,
        attention: Callable[..., nnx.Module] = Attention,
        make_mlp: Callable[..., nnx.Module] = mlp,
        dtype,
        rngs: nnx.Rngs,
    ):
        options = {"dtype": dtype, "rngs": rngs}
        self.norm1 = layer_norm(shape.width, epsilon=shape.epsilon, **options)
        self.attn = attention(shape, **options)
        self.norm2 = layer_norm(shape.width, epsilon=shape.epsilon, **options)
        self.mlp = make_mlp(shape, **options)

    def forward(self, x: States, *, angles: Angles | None = None) -> States:
        x = x + self.attn(self.norm1(x), angles)
        return x + self.mlp(self.norm2(x))


class AttentionPool(nnx.Module):
    """A learned query that attends to all tokens, followed by a residual MLP (as in SigLIP and PE)."""

    def __init__(self, shape: BlockShape, *, dtype, rngs: nnx.Rngs):
        width, options = shape.width, {"dtype": dtype, "rngs": rngs}
        self.heads = shape.heads
        self.dtype = dtype
        self.latent = nnx.Param(jax.nn.initializers.truncated_normal(width**-0.5)(rngs.params(), (1, 1, width)))
        self.q = normal_linear(width, width, **options)
        self.kv = normal_linear(width, 2 * width, **options)
        self.proj = normal_linear(width, width, **options)
        self.norm = layer_norm(width, epsilon=shape.epsilon, **options)
        self.mlp = mlp(shape, **options)

    def __call__(self, x: States) -> Float[Array, "batch width"]:
        query = self.q(jnp.broadcast_to(self.latent[...].astype(self.dtype), (len(x), 1, x.shape[2])))
        key, value = jnp.split(self.kv(x), 2, axis=-1)
        features = self.proj(attend(query, key, value, self.heads))[:, 0]
        return features + self.mlp(self.norm(features))
