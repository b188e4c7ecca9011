"""Layers that timm's image towers share: attention and MLPs (names as in timm)."""

from collections.abc import Callable

import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from cliptail_jax.models.attention import States
from cliptail_jax.models.layers import normal_linear
from cliptail_jax.models.transformer import ACTIVATIONS, self_attend

MakeLinear = Callable[..., nnx.Linear]  # as `layers.normal_linear`


class QkvAttention(nnx.Module):
    """Self-attention with one projection for queries, keys and values.

    `layer` makes the linear layers, and `last` that of the outputs if it is another.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        qkv_bias: bool = True,
        layer: MakeLinear = normal_linear,
        last: MakeLinear | None = None,
        dtype,
        rngs: nnx.Rngs,
    ):
        self.heads = heads
        self.qkv = layer(width, 3 * width, use_bias=qkv_bias, dtype=dtype, rngs=rngs)
        self.proj = (last or layer)(width, width, dtype=dtype, rngs=rngs)

    def __call__(self, x: States, **options) -> States:
        """The states after attention; `options` are those of `transformer.self_attend`."""
        return self.proj(self_attend(self.qkv(x), self.heads, **options))


class Mlp(nnx.Module):
    """Two linear layers with an activation between them.

    `layer` makes them, and `last` the second one if it is another.
    """

    def __init__(
        self,
        inputs: int,
        inner: int,
        outputs: int,
        *,
        activation: Callable[[Array], Array] = ACTIVATIONS["gelu"],
        layer: MakeLinear = normal_linear,
        last: MakeLinear | None = None,
        dtype,
        rngs: nnx.Rngs,
    ):
        self.activation = activation
        self.fc1 = layer(inputs, inner, dtype=dtype, rngs=rngs)
        self.fc2 = (last or layer)(inner, outputs, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array | np.ndarray, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        return self.fc2(self.activation(self.fc1(x)))


def relative_index(height: int, width: int) -> Int[np.ndarray, "cells cells"]:
    """The row of the difference of two cells of a grid in a table of all 2 height - 1 × 2 width - 1 differences."""
    rows, columns = np.divmod(np.arange(height * width), width)
    down, right = (x[:, None] - x + side - 1 for x, side in ((rows, height), (columns, width)))
    return down * (2 * width - 1) + right
