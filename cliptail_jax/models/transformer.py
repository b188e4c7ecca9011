"""The pre-norm transformer of CLIP's image and text towers (names as in openai/CLIP)."""

from functools import partial
from typing import NamedTuple

import jax
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float

from cliptail_jax.models.initializers import Initializer, normal, uniform_fan_in
from cliptail_jax.models.layers import EPSILON, layer_norm, linear

MLP_RATIO = 4.0  # an MLP's inner width per outer width


def quick_gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x · sigmoid(1.702 x), the approximation of GELU that OpenAI's CLIP weights were trained with."""
    return x * jax.nn.sigmoid(1.702 * x)


ACTIVATIONS = {
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
    "quick_gelu": quick_gelu,
}


class BlockInit(NamedTuple):
    """Initializers of the four weight matrices of a block."""

    in_proj: Initializer
    out_proj: Initializer
    c_fc: Initializer
    c_proj: Initializer


def pytorch_init(width: int, mlp_ratio: float = MLP_RATIO) -> BlockInit:
    """PyTorch's defaults, which CLIP's vision transformer uses."""
    default = uniform_fan_in(width)
    return BlockInit(jax.nn.initializers.xavier_uniform(), default, default, uniform_fan_in(int(mlp_ratio * width)))


def clip_text_init(width: int, layers: int) -> BlockInit:
    """CLIP's text tower: the scale of projections into the residual stream decreases with its depth."""
    residual = normal(width**-0.5 * (2 * layers) ** -0.5)
    return BlockInit(normal(width**-0.5), residual, normal((2 * width) ** -0.5), residual)


class MultiHeadAttention(nnx.Module):
    """Self-attention with one projection for queries, keys and values, as in the published weights (not so in nnx)."""

    def __init__(self, width: int, heads: int, *, causal: bool, init: BlockInit, dtype, rngs: nnx.Rngs):
        zeros = nnx.initializers.zeros
        self.heads = heads
        self.causal = causal
        self.in_proj = linear(width, 3 * width, kernel_init=init.in_proj, bias_init=zeros, dtype=dtype, rngs=rngs)
        self.out_proj = linear(width, width, kernel_init=init.out_proj, bias_init=zeros, dtype=dtype, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch length width"], visible: Bool[Array, "batch length"] | None = None
    ) -> Float[Array, "batch length width"]:
        batch, length, width = x.shape
        projected = self.in_proj(x).reshape(batch, length, 3, self.heads, width // self.heads)
        query, key, value = projected[:, :, 0], projected[:, :, 1], projected[:, :, 2]
        mask = None if visible is None else visible[:, None, None, :]
        attended = jax.nn.dot_product_attention(query, key, value, mask=mask, is_causal=self.causal)
        return self.out_proj(attended.reshape(batch, length, width))


class Mlp(nnx.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, width: int, activation: str, *, mlp_ratio: float, init: BlockInit, dtype, rngs: nnx.Rngs):
        inner = int(mlp_ratio * width)
        self.activation = activation
        self.c_fc = linear(width, inner, kernel_init=init.c_fc, dtype=dtype, rngs=rngs)
        self.c_proj = linear(inner, width, kernel_init=init.c_proj, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "batch length width"]) -> Float[Array, "batch length width"]:
        return self.c_proj(ACTIVATIONS[self.activation](self.c_fc(x)))


class ResidualAttentionBlock(nnx.Module):
    """Attention and MLP, each preceded by layer norm and added to its input."""

    def __init__(
        self,
        width: int,
        heads: int,
        activation: str,
        *,
        causal: bool,
        mlp_ratio: float,
        epsilon: float,
        init: BlockInit,
        dtype,
        rngs: nnx.Rngs,
    ):
        self.ln_1 = layer_norm(width, epsilon=epsilon, dtype=dtype, rngs=rngs)
        self.attn = MultiHeadAttention(width, heads, causal=causal, init=init, dtype=dtype, rngs=rngs)
        self.ln_2 = layer_norm(width, epsilon=epsilon, dtype=dtype, rngs=rngs)
        self.mlp = Mlp(width, activation, mlp_ratio=mlp_ratio, init=init, dtype=dtype, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch length width"], visible: Bool[Array, "batch length"] | None = None
    ) -> Float[Array, "batch length width"]:
        x = x + self.attn(self.ln_1(x), visible)
        return x + self.mlp(self.ln_2(x))


class Transformer(nnx.Module):
    """A stack of residual attention blocks; with `causal`, tokens do not attend to later ones.

    The inner width of the MLPs is `mlp_ratio` times `width`, rounded down.
    """

    def __init__(
        self,
        width: int,
        layers: int,
        heads: int,
        activation: str,
        *,
        causal: bool,
        mlp_ratio: float = MLP_RATIO,
        epsilon: float = EPSILON,
        init: BlockInit,
        dtype,
        rngs: nnx.Rngs,
    ):
        shared = {"causal": causal, "mlp_ratio": mlp_ratio, "epsilon": epsilon, "init": init, "dtype": dtype}
        self.resblocks = nnx.List(
            ResidualAttentionBlock(width, heads, activation, **shared, rngs=rngs) for _ in range(layers)
        )

    def __call__(
        self, x: Float[Array, "batch length width"], visible: Bool[Array, "batch length"] | None = None
    ) -> Float[Array, "batch length width"]:
        """States after the last block; no token attends to those that are not `visible`."""
        for block in self.resblocks:
            x = block(x, visible)
        return x
