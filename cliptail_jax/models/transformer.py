"""The pre-norm transformer of CLIP's image and text towers (names as in openai/CLIP)."""

from functools import partial
from typing import NamedTuple

import jax
from flax import nnx
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Float

from cliptail_jax.host.errors import UserError
from cliptail_jax.models.attention import States
from cliptail_jax.models.layers import EPSILON, Initializer, LayerScale, Valid, layer_norm, linear, uniform_fan_in
from cliptail_jax.models.remat import RematBlock
from cliptail_jax.models.self_attention import SelfAttention

MLP_RATIO = 4.0  # an MLP's inner width per outer width


def quick_gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x · sigmoid(1.702 x), the approximation of GELU that OpenAI's CLIP weights were trained with."""
    return x * jax.nn.sigmoid(1.702 * x)


ACTIVATIONS = {
    "gelu": partial(jax.nn.gelu, approximate=False),
    "gelu_tanh": partial(jax.nn.gelu, approximate=True),
    "quick_gelu": quick_gelu,
}


CONFIGURATION = "the model's configuration"  # in errors: where the sizes of a published model are


def head_width(key: str, heads: int, width: int) -> int:
    """The width of each head. Raises UserError that names the config field `key` unless the heads share `width` equally."""
    if not heads or width % heads:
        raise UserError(f"{key}: {heads} heads do not divide {width} channels; choose a divisor.")
    return width // heads


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


class MultiHeadAttention(SelfAttention):
    """Self-attention with one projection for queries, keys and values, as in the published weights, unlike nnx's."""

    def __init__(self, width: int, heads: int, *, causal: bool, init: BlockInit, dtype, rngs: nnx.Rngs):
        zeros = nnx.initializers.zeros
        head_width(CONFIGURATION, heads, width)
        self.heads = heads
        self.causal = causal
        self.in_proj = linear(width, 3 * width, kernel_init=init.in_proj, bias_init=zeros, dtype=dtype, rngs=rngs)
        self.out_proj = linear(width, width, kernel_init=init.out_proj, bias_init=zeros, dtype=dtype, rngs=rngs)

    def __call__(self, x: States, visible: Valid | None = None) -> States:
        mask = None if visible is None else visible[:, None, None, :]
        return self.out_proj(self.attend(self.in_proj(x), self.heads, causal=self.causal, mask=mask))


class TransformerMlp(nnx.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, width: int, activation: str, *, mlp_ratio: float, init: BlockInit, dtype, rngs: nnx.Rngs):
        inner = int(mlp_ratio * width)
        self.activation = activation
        self.c_fc = linear(width, inner, kernel_init=init.c_fc, dtype=dtype, rngs=rngs)
        self.c_proj = linear(inner, width, kernel_init=init.c_proj, dtype=dtype, rngs=rngs)

    def __call__(self, x: States) -> States:
        return self.c_proj(ACTIVATIONS[self.activation](self.c_fc(x)))


class ResidualAttentionBlock(RematBlock):
    """Attention and MLP, each preceded by layer norm and added to its input.

    With `layer_scale`, each added channel is multiplied by a learned scale with this initial value.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        activation: str,
        *,
        causal: bool,
        mlp_ratio: float = MLP_RATIO,
        epsilon: float = EPSILON,
        layer_scale: float | None = None,
        init: BlockInit,
        dtype,
        rngs: nnx.Rngs,
    ):
        self.ln_1 = layer_norm(width, epsilon=epsilon, dtype=dtype, rngs=rngs)
        self.attn = MultiHeadAttention(width, heads, causal=causal, init=init, dtype=dtype, rngs=rngs)
        self.ln_2 = layer_norm(width, epsilon=epsilon, dtype=dtype, rngs=rngs)
        self.mlp = TransformerMlp(width, activation, mlp_ratio=mlp_ratio, init=init, dtype=dtype, rngs=rngs)
        has_scale = layer_scale is not None
        self.ls_1 = LayerScale(width, layer_scale, dtype=dtype) if has_scale else nnx.identity
        self.ls_2 = LayerScale(width, layer_scale, dtype=dtype) if has_scale else nnx.identity

    def forward(self, x: States, *, visible: Valid | None) -> States:
        x = x + self.ls_1(self.attn(self.ln_1(x), visible))
        return x + self.ls_2(self.mlp(self.ln_2(x)))


class Transformer(nnx.Module):
    """A stack of residual attention blocks; with `causal`, tokens do not attend to later ones.

    The inner width of the MLPs is `mlp_ratio` times `width`, rounded down. `options` are the keyword arguments of
    `ResidualAttentionBlock`.
    """

    def __init__(self, width: int, layers: int, heads: int, activation: str, **options):
        blocks = (ResidualAttentionBlock(width, heads, activation, **options) for _ in range(layers))
        self.resblocks = nnx.List(blocks)

    def __call__(self, x: States, visible: Valid | None = None) -> States:
        """States after the last block; no token attends to those that are not `visible`."""
        for block in self.resblocks:
            x = block(x, visible=visible)
        return x
