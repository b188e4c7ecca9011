"""Layers that timm's image towers share: attention and MLPs (names as in timm)."""

from collections.abc import Callable

import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float

from cliptail_jax.models.attention import States
from cliptail_jax.models.layers import normal_linear
from cliptail_jax.models.self_attention import SelfAttention
from cliptail_jax.models.transformer import ACTIVATIONS

MakeLinear = Callable[..., nnx.Linear]  # as `layers.normal_linear`


class QkvAttention(SelfAttention):
    """Self-attention with one projection for queries, keys and values.

    `output_std` is the standard deviation of the initial weights of the outputs.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        qkv_bias: bool = True,
        output_std: float = 0.02,
        dtype,
        rngs: nnx.Rngs,
    ):
        self.heads = heads
        self.qkv = normal_linear(width, 3 * width, use_bias=qkv_bias, dtype=dtype, rngs=rngs)
        self.proj = normal_linear(width, width, output_std, dtype=dtype, rngs=rngs)

    def __call__(self, x: States) -> States:
        """The states after attention."""
        return self.proj(self.attend(self.qkv(x), self.heads))


class Mlp(nnx.Module):
    """Two linear layers with an activation between them.

    `layer` makes both, unless `last` makes the second one.
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
