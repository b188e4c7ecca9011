"""The parts of EVA-01's and EVA-02's blocks that differ from those of other transformers (names as in timm).

EVA-02's have layer norms inside of attention and MLP (sub-layer norms), and those of its largest member come after both.
"""

import jax
import jax.numpy as jnp
from flax import nnx

from cliptail_jax.models.attention import States
from cliptail_jax.models.layers import layer_norm, normal_linear
from cliptail_jax.models.timm_blocks import Angles, Block, BlockShape, rotary_attend


class KeysWithoutBias(nnx.Module):
    """Self-attention with one projection, in which queries and values have a bias."""

    def __init__(self, shape: BlockShape, *, dtype, rngs: nnx.Rngs):
        width, options = shape.width, {"dtype": dtype, "rngs": rngs}
        self.heads = shape.heads
        self.dtype = dtype
        self.qkv = normal_linear(width, 3 * width, use_bias=False, **options)
        self.q_bias = nnx.Param(jnp.zeros(width))
        self.v_bias = nnx.Param(jnp.zeros(width))
        self.proj = normal_linear(width, width, shape.output_std, **options)

    def __call__(self, x: States, angles: Angles | None = None) -> States:
        query, key, value = jnp.split(self.qkv(x), 3, axis=-1)
        q_bias, v_bias = (bias[...].astype(self.dtype) for bias in (self.q_bias, self.v_bias))
        return self.proj(rotary_attend(query + q_bias, key, value + v_bias, self.heads, angles))


class NormedAttention(nnx.Module):
    """Self-attention with three projections, that of keys without bias, and layer norm before the output projection."""

    def __init__(self, shape: BlockShape, *, dtype, rngs: nnx.Rngs):
        width, options = shape.width, {"dtype": dtype, "rngs": rngs}
        self.heads = shape.heads
        self.q_proj = normal_linear(width, width, **options)
        self.k_proj = normal_linear(width, width, use_bias=False, **options)
        self.v_proj = normal_linear(width, width, **options)
        self.norm = layer_norm(width, epsilon=shape.epsilon, **options)
        self.proj = normal_linear(width, width, shape.output_std, **options)

    def __call__(self, x: States, angles: Angles | None = None) -> States:
        outputs = rotary_attend(self.q_proj(x), self.k_proj(x), self.v_proj(x), self.heads, angles)
        return self.proj(self.norm(outputs))


class NormedSwiGlu(nnx.Module):
    """A gated MLP (SwiGLU, Shazeer 2020, arXiv 2002.05202) with layer norm before its last layer."""

    def __init__(self, shape: BlockShape, *, dtype, rngs: nnx.Rngs):
        options = {"dtype": dtype, "rngs": rngs}
        self.fc1_g = normal_linear(shape.width, shape.inner, **options)
        self.fc1_x = normal_linear(shape.width, shape.inner, **options)
        self.norm = layer_norm(shape.inner, epsilon=shape.epsilon, **options)
        self.fc2 = normal_linear(shape.inner, shape.width, shape.output_std, **options)

    def __call__(self, x: States) -> States:
        return self.fc2(self.norm(jax.nn.silu(self.fc1_g(x)) * self.fc1_x(x)))


class PostNormBlock(Block):
    """Attention and MLP, each followed by layer norm and added to its input."""

    def forward(self, x: States, *, angles: Angles | None = None) -> States:
        x = x + self.norm1(self.attn(x, angles))
        return x + self.norm2(self.mlp(x))
