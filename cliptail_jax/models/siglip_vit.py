"""SigLIP's vision transformer (Zhai et al. 2023, arXiv 2303.15343; names as in timm, under `trunk`).

It has no class token: a learned query attends to the patches ("map" pooling), and there is no projection behind it. New
weights are initialized as by timm, with which open_clip trains such towers.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.nn.initializers import normal, truncated_normal, zeros
from jaxtyping import Float

from cliptail_jax.errors import UserError
from cliptail_jax.models.initializers import uniform_fan_in
from cliptail_jax.models.layers import Features, Images, Mask, layer_norm, linear
from cliptail_jax.models.positions import check_grid
from cliptail_jax.models.remat import RematBlock
from cliptail_jax.models.transformer import ACTIVATIONS, MLP_RATIO, States, attend

EPSILON = 1e-6  # of the layer norms


class SiglipShape(NamedTuple):
    """The sizes of a tower, and the activation of its MLPs, a name in `transformer.ACTIVATIONS`."""

    patch_size: int
    width: int
    layers: int
    heads: int
    mlp_ratio: float = MLP_RATIO
    activation: str = "gelu"


LARGE, SO400M_14 = SiglipShape(16, 1024, 24, 16), SiglipShape(14, 1152, 27, 16, 3.7362)
SO400M_16 = SiglipShape(16, 1152, 27, 16, 3.7362, "gelu_tanh")
# timm's models (github.com/huggingface/pytorch-image-models, timm/models/vision_transformer.py), by the start of their
# names and the side in pixels of their images.
MEMBERS = {
    "vit_base_patch32_siglip": dict.fromkeys((256,), SiglipShape(32, 768, 12, 12, activation="gelu_tanh")),
    "vit_base_patch16_siglip": dict.fromkeys((224, 256, 384, 512), SiglipShape(16, 768, 12, 12)),
    "vit_large_patch16_siglip": {256: LARGE, 384: LARGE, 512: LARGE._replace(activation="gelu_tanh")},
    "vit_so400m_patch14_siglip": dict.fromkeys((224, 378, 384), SO400M_14),
    "vit_so400m_patch16_siglip": dict.fromkeys((256, 384, 512), SO400M_16),
    "vit_giantopt_patch16_siglip": dict.fromkeys((256, 384), SiglipShape(16, 1536, 40, 16, activation="gelu_tanh")),
}
SIGLIP_VITS = {f"{start}_{side}": shape for start, shapes in MEMBERS.items() for side, shape in shapes.items()}


def member_for(name: str, side: int) -> str:
    """timm's name of the tower `name` for images of `side` × `side` pixels. Raises UserError if timm has none."""
    start, own = name.rsplit("_", 1)
    sides = [
        at
        for of_start, at in (member.rsplit("_", 1) for member in SIGLIP_VITS)
        if of_start == start and SIGLIP_VITS[f"{of_start}_{at}"] == SIGLIP_VITS[name]
    ]
    if str(side) not in sides:
        raise UserError(
            f"open_clip has {start}_{own} for images of {', '.join(sides)} pixels, not {side}: open or train the model at "
            "such a size"
        )
    return f"{start}_{side}"


def dense(inputs: int, outputs: int, **options) -> nnx.Linear:
    """A linear layer with timm's initialization."""
    return linear(inputs, outputs, kernel_init=normal(0.02), bias_init=zeros, **options)


class Attention(nnx.Module):
    """Self-attention with one projection for queries, keys and values."""

    def __init__(self, width: int, heads: int, **options):
        self.heads = heads
        self.qkv = dense(width, 3 * width, **options)
        self.proj = dense(width, width, **options)

    def __call__(self, x: States) -> States:
        return self.proj(attend(*jnp.split(self.qkv(x), 3, axis=-1), self.heads))


class Mlp(nnx.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, width: int, mlp_ratio: float, activation: str, **options):
        inner = int(mlp_ratio * width)
        self.activation = activation
        self.fc1 = dense(width, inner, **options)
        self.fc2 = dense(inner, width, **options)

    def __call__(self, x: Float[Array, "*batch width"]) -> Float[Array, "*batch width"]:
        return self.fc2(ACTIVATIONS[self.activation](self.fc1(x)))


class Block(RematBlock):
    """Attention and MLP, each preceded by layer norm and added to its input."""

    def __init__(self, shape: SiglipShape, **options):
        self.norm1 = layer_norm(shape.width, epsilon=EPSILON, **options)
        self.attn = Attention(shape.width, shape.heads, **options)
        self.norm2 = layer_norm(shape.width, epsilon=EPSILON, **options)
        self.mlp = Mlp(shape.width, shape.mlp_ratio, shape.activation, **options)

    def forward(self, x: States) -> States:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class AttentionPool(nnx.Module):
    """A learned query `latent` that attends to all tokens, and an MLP behind it.

    This is the "multihead attention pooling" head of Zhai et al. 2022 (arXiv 2106.04560, section 3.2).
    """

    def __init__(self, shape: SiglipShape, *, dtype, rngs: nnx.Rngs):
        options, width = {"dtype": dtype, "rngs": rngs}, shape.width
        self.dtype = dtype
        self.heads = shape.heads
        self.latent = nnx.Param(truncated_normal(width**-0.5)(rngs.params(), (1, 1, width)))
        self.q = dense(width, width, **options)
        self.kv = dense(width, 2 * width, **options)
        self.proj = dense(width, width, **options)
        self.norm = layer_norm(width, epsilon=EPSILON, **options)
        self.mlp = Mlp(width, shape.mlp_ratio, shape.activation, **options)

    def __call__(self, x: States) -> Float[Array, "batch width"]:
        query = jnp.broadcast_to(self.q(self.latent[...].astype(self.dtype)), (len(x), 1, x.shape[-1]))
        pooled = self.proj(attend(query, *jnp.split(self.kv(x), 2, axis=-1), self.heads))[:, 0]
        return pooled + self.mlp(self.norm(pooled))


class SiglipViT(nnx.Module):
    """A pre-norm transformer over patches, whose states are pooled by attention; the features are as wide as the states.

    The positional embedding is that of square images of `image_size` pixels. Pixels at the right and bottom that fill no
    patch are dropped.
    """

    def __init__(self, shape: SiglipShape, image_size: int, *, dtype=jnp.float32, rngs: nnx.Rngs):
        size, width, options = shape.patch_size, shape.width, {"dtype": dtype, "rngs": rngs}
        bound = uniform_fan_in(3 * size**2)
        patches = {"strides": size, "padding": "VALID", "kernel_init": bound, "bias_init": bound}
        positions = normal(0.02)(rngs.params(), (1, (image_size // size) ** 2, width))
        self.dtype = dtype
        self.trunk = nnx.Dict(
            patch_embed=nnx.Dict(proj=nnx.Conv(3, width, (size, size), **patches, **options)),
            pos_embed=nnx.Param(positions),
            blocks=nnx.List(Block(shape, **options) for _ in range(shape.layers)),
            norm=layer_norm(width, epsilon=EPSILON, **options),
            attn_pool=AttentionPool(shape, **options),
        )

    def __call__(self, images: Images, train: bool = False, mask: Mask | None = None) -> Features:
        """Unnormalized features. `train` and `mask`, which all image towers accept, have no effect."""
        del train, mask
        patches = self.trunk.patch_embed.proj(images)
        batch, rows, columns, width = patches.shape
        positions = self.trunk.pos_embed
        check_grid(rows, columns, math.isqrt(positions.shape[1]))
        x = patches.reshape(batch, -1, width) + positions[...].astype(self.dtype)
        for block in self.trunk.blocks:
            x = block(x)
        return self.trunk.attn_pool(self.trunk.norm(x)).astype(jnp.float32)
