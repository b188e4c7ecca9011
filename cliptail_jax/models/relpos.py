"""timm's vision transformer with relative positions (names as in timm, under `trunk` and `head`).

Attention adds a bias that an MLP computes from the logarithm of the distance of two patches (Liu et al. 2021, arXiv 2111.09883,
section 3.3), so that images may have any size. All weights are initialized as in timm. Stochastic depth (timm_drop_path), and
the dropout that timm has in training within that MLP, are not implemented.
"""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.nn.initializers import normal
from jaxtyping import Float32

from cliptail_jax.models.layers import Features, Images, Mask, conv, layer_norm, linear
from cliptail_jax.models.timm_blocks import Block, BlockShape
from cliptail_jax.models.timm_layers import Mlp, QkvAttention, relative_index
from cliptail_jax.models.transformer import States

MLP_RATIO = 4  # an MLP's inner width per outer width
INITIAL_GAMMA = 1e-6
EPSILON = 1e-6  # of all layer norms


@dataclass(frozen=True)
class Size:
    """A member of timm's.

    Attributes:
      inner: the inner width of the MLP of the biases.
      image_size: the side of timm's images in pixels.
    """

    patch_size: int
    width: int
    layers: int
    heads: int
    inner: int
    image_size: int


# Sizes of timm's models (github.com/huggingface/pytorch-image-models).
RELPOS = {"vit_relpos_medium_patch16_cls_224": Size(16, 512, 12, 8, 256, 224)}


def log_differences(height: int, width: int) -> Float32[np.ndarray, "differences 2"]:
    """All differences (down, right) of two cells of a grid, by their logarithms: sign(d) ln(1 + |d|)."""
    down, right = np.meshgrid(np.arange(1 - height, height), np.arange(1 - width, width), indexing="ij")
    differences = np.stack([down.ravel(), right.ravel()], 1).astype(np.float32)
    return np.sign(differences) * np.log1p(np.abs(differences))


class Attention(QkvAttention):
    """Attention with a bias for each difference of two patches; the class token, which is the first, has none."""

    def __init__(self, shape: BlockShape, inner: int, *, output_scale: float, dtype, rngs: nnx.Rngs):
        del output_scale  # all projections have PyTorch's initialization
        options = {"layer": linear, "dtype": dtype, "rngs": rngs}
        super().__init__(shape.width, shape.heads, qkv_bias=False, **options)
        self.rel_pos = nnx.Dict(mlp=Mlp(2, inner, shape.heads, activation=jax.nn.relu, **options))

    def __call__(self, x: States, grid: tuple[int, int]) -> States:
        """The outputs for a class token and a grid of rows and columns of patches."""
        bias = self.rel_pos.mlp(log_differences(*grid))[relative_index(*grid)].transpose(2, 0, 1)
        return super().__call__(x, bias=jnp.pad(bias, ((0, 0), (1, 0), (1, 0)))[None])


def mlp(shape: BlockShape, *, output_scale: float, **options) -> Mlp:
    """The MLP of a block."""
    del output_scale
    return Mlp(shape.width, shape.inner, shape.width, layer=linear, **options)


class RelPosViT(nnx.Module):
    """A transformer over a class token, whose last state is projected to features of `output_dim`, and patches."""

    def __init__(
        self, size: Size, output_dim: int, *, projection_bias: bool = False, dtype=jnp.float32, rngs: nnx.Rngs
    ):
        shared = {"dtype": dtype, "rngs": rngs}
        shape = BlockShape(size.width, size.heads, MLP_RATIO * size.width, EPSILON)
        parts = {"attention": partial(Attention, inner=size.inner), "make_mlp": mlp, "layer_scale": INITIAL_GAMMA}
        patches = conv(3, size.width, size.patch_size, stride=size.patch_size, use_bias=True, **shared)
        self.dtype = dtype
        self.trunk = nnx.Dict(
            patch_embed=nnx.Dict(proj=patches),
            cls_token=nnx.Param(normal(1e-6)(rngs.params(), (1, 1, size.width))),
            blocks=nnx.List(Block(shape, **parts, **shared) for _ in range(size.layers)),
            norm=layer_norm(size.width, epsilon=EPSILON, **shared),
        )
        self.head = nnx.Dict(proj=linear(size.width, output_dim, use_bias=projection_bias, **shared))

    def __call__(self, images: Images, train: bool = False, mask: Mask | None = None) -> Features:
        """Unnormalized features. `train` and `mask`, which all image towers accept, have no effect."""
        del train, mask
        patches = self.trunk.patch_embed.proj(images)
        batch, rows, columns, width = patches.shape
        class_token = jnp.broadcast_to(self.trunk.cls_token[...].astype(self.dtype), (batch, 1, width))
        x = jnp.concatenate([class_token, patches.reshape(batch, rows * columns, width)], 1)
        for block in self.trunk.blocks:
            x = block(x, positions=(rows, columns))
        return self.head.proj(self.trunk.norm(x[:, 0])).astype(jnp.float32)
