"""Self-attention of timm's image towers."""

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import normal

from cliptail_jax.models.layers import linear
from cliptail_jax.models.transformer import States, attend


def timm_linear(inputs: int, outputs: int, **options) -> nnx.Linear:
    """A linear layer with timm's initialization: normal with standard deviation 0.02, and biases 0.

    timm truncates the distribution at ±2, which is 100 standard deviations.
    """
    return linear(inputs, outputs, kernel_init=normal(0.02), bias_init=nnx.initializers.zeros, **options)


class QkvAttention(nnx.Module):
    """Self-attention with one projection for queries, keys and values (names as in timm).

    `layer` makes the linear layers, as `layers.linear` does.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        qkv_bias: bool = True,
        layer: Callable[..., nnx.Linear] = timm_linear,
        dtype,
        rngs: nnx.Rngs,
    ):
        self.heads = heads
        self.qkv = layer(width, 3 * width, use_bias=qkv_bias, dtype=dtype, rngs=rngs)
        self.proj = layer(width, width, dtype=dtype, rngs=rngs)

    def __call__(self, x: States, **options) -> States:
        """The states after attention; `options` are those of `transformer.attend`."""
        query, key, value = jnp.split(self.qkv(x), 3, axis=-1)
        return self.proj(attend(query, key, value, self.heads, **options))
