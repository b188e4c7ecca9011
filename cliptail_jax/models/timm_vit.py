"""timm's vision transformers as CLIP's image tower (names as in timm, under `trunk` and `head`).

timm's class `Eva` has EVA-01 (Fang et al. 2022, arXiv 2211.07636), EVA-02 (arXiv 2303.11331, 2303.15389) and PE-Core
(Bolya et al. 2025, arXiv 2504.13181); its class `VisionTransformer` has the others, such as SigLIP's (Zhai et al. 2023, arXiv
2303.15343) and MobileCLIP's (Vasu et al. 2024, arXiv 2311.17049). Stochastic depth (timm_drop_path) is not implemented.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Float

from cliptail_jax.models.attention import States
from cliptail_jax.models.conv_stem import ConvStem
from cliptail_jax.models.layers import Features, Grid, Images, Mask, conv, layer_norm, normal_linear
from cliptail_jax.models.positions import check_grid
from cliptail_jax.models.rotary import Rotary
from cliptail_jax.models.timm_blocks import AttentionPool, Block, BlockShape


@dataclass(frozen=True)
class TimmMember:
    """The properties that timm derives from a model's name.

    Attributes:
      image_size: the side in pixels of the images that it is made for.
      patch_size: the side of a patch in pixels; with `conv_stem`, its stride.
      width, layers, heads, inner: the sizes of the blocks; `inner` is the MLPs' inner width.
      epsilon: the epsilon of the layer norms.
      activation: the activation of plain MLPs, a name in `transformer.ACTIVATIONS`.
      block: the class of the blocks, called like `Block`.
      class_token: whether a learned token precedes the patches.
      token_has_position: whether the positional embedding has a row for it.
      conv_stem: whether patches are embedded by `ConvStem`.
      norm_before: whether layer norm precedes the blocks.
      rotary: rotary positions, in addition to the embedding; None for none.
      pool: 'token' is the class token, 'map' attention pooling.
      pool_heads, pool_inner: the sizes of attention pooling; None for those of the blocks.
      projection: whether a linear layer follows; otherwise, the pooled states are the features.
      eva_init: whether weights are initialized as in timm's `Eva`: those of projections into the residual stream are
        divided by √(2 i) in block i = 1, 2, ..., and the class token has the standard deviation 0.02, not 1e-6.
    """

    image_size: int
    patch_size: int
    width: int
    layers: int
    heads: int
    inner: int
    epsilon: float = 1e-6
    activation: str = "gelu"
    block: Callable[..., Block] = Block
    class_token: bool = True
    token_has_position: bool = True
    conv_stem: bool = False
    norm_before: bool = False
    rotary: Rotary | None = None
    pool: str = "token"
    pool_heads: int | None = None
    pool_inner: int | None = None
    projection: bool = True
    eva_init: bool = False


class Trunk(nnx.Module):
    """A transformer over patches, with positions that are embedded, and pooling; the last layer norm precedes pooling.

    The positional embedding is that of square images of `image_size` pixels.
    """

    def __init__(
        self,
        member: TimmMember,
        image_size: int,
        output_dim: int,
        *,
        group_size: int,
        dtype,
        rngs: nnx.Rngs,
    ):
        options = {"dtype": dtype, "rngs": rngs}
        width, epsilon = member.width, member.epsilon
        self.member = member
        self.dtype = dtype
        if member.conv_stem:
            self.patch_embed = ConvStem(width, group_size=group_size, **options)
        else:
            size, has_bias = member.patch_size, not member.norm_before
            self.patch_embed = nnx.Dict(proj=conv(3, width, size, stride=size, use_bias=has_bias, **options))
        token_std = 0.02 if member.eva_init else 1e-6
        self.cls_token = nnx.Param(normal(token_std)(rngs.params(), (1, 1, width))) if member.class_token else None
        positions = (image_size // member.patch_size) ** 2 + (member.class_token and member.token_has_position)
        self.pos_embed = nnx.Param(normal(0.02)(rngs.params(), (1, positions, width)))
        self.norm_pre = layer_norm(width, epsilon=epsilon, **options) if member.norm_before else nnx.identity
        shape = BlockShape(width, member.heads, member.inner, epsilon, member.activation)
        shapes = [shape] * member.layers
        if member.eva_init:
            shapes = [replace(shape, output_std=0.02 * (2 * i) ** -0.5) for i in range(1, member.layers + 1)]
        self.blocks = nnx.List(member.block(shape, **options) for shape in shapes)
        self.norm = layer_norm(width, epsilon=epsilon, **options)
        pool_shape = replace(shape, heads=member.pool_heads or shape.heads, inner=member.pool_inner or shape.inner)
        self.attn_pool = AttentionPool(pool_shape, **options) if member.pool == "map" else None
        self.head = normal_linear(width, output_dim, **options) if member.projection else nnx.identity

    def __call__(self, images: Images, train: bool, mask: Mask | None) -> Float[Array, "batch output"]:
        embed = self.patch_embed
        patches = embed(images, train, mask) if self.member.conv_stem else embed.proj(images)
        _, rows, columns, width = patches.shape
        x = self.norm_pre(self._with_positions(patches))
        rotary = self.member.rotary
        angles = rotary.angles(rows, columns, width // self.member.heads) if rotary else None
        for block in self.blocks:
            x = block(x, angles=angles)
        return self.head(self._pooled(self.norm(x)))

    def _with_positions(self, patches: Grid) -> States:
        batch, rows, columns, width = patches.shape
        x, positions = patches.reshape(batch, rows * columns, width), self.pos_embed[...].astype(self.dtype)
        check_grid(rows, columns, math.isqrt(positions.shape[1]))
        if self.cls_token is None:
            return x + positions
        token = jnp.broadcast_to(self.cls_token[...].astype(self.dtype), (batch, 1, width))
        if self.member.token_has_position:
            return jnp.concatenate([token, x], 1) + positions
        return jnp.concatenate([token, x + positions], 1)

    def _pooled(self, x: States) -> Float[Array, "batch width"]:
        return x[:, 0] if self.attn_pool is None else self.attn_pool(x)


class TimmViT(nnx.Module):
    """A transformer of timm's and a projection to features of width `output_dim`.

    EVA's projection is here initialized as other layers: timm multiplies it by 0.001, for a classifier's logits.

    Args:
      member: timm's model.
      output_dim: the width of the features.
      image_size: the side in pixels of the images that the positional embedding is for.
      group_size: that of `BatchNorm`, in a convolutional stem.
    """

    def __init__(
        self,
        member: TimmMember,
        output_dim: int,
        image_size: int,
        *,
        group_size: int = 0,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.trunk = Trunk(member, image_size, output_dim, group_size=group_size, dtype=dtype, rngs=rngs)

    def __call__(self, images: Images, train: bool = False, mask: Mask | None = None) -> Features:
        """Unnormalized features; in training, examples whose `mask` is False are excluded from the batch statistics."""
        return self.trunk(images, train, mask).astype(jnp.float32)
