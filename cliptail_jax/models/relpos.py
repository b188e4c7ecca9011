"""A vision transformer with relative positions, as timm has it (names as in timm, under `trunk` and `head`).

Attention adds a bias that an MLP computes from the logarithm of the distance of two patches (Liu et al. 2021, arXiv 2111.09883,
section 3.3), so that images may have any size. All weights are initialized as in timm. Stochastic depth (timm_drop_path), and
the dropout that timm has in training within that MLP, are not implemented.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.nn.initializers import normal
from jaxtyping import Float32

from cliptail_jax.models.layers import Features, Images, LayerScale, Mask, conv, layer_norm, linear
from cliptail_jax.models.remat import RematBlock
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

    def __init__(self, width: int, heads: int, inner: int, *, dtype, rngs: nnx.Rngs):
        super().__init__(width, heads, qkv_bias=False, layer=linear, dtype=dtype, rngs=rngs)
        self.rel_pos = nnx.Dict(mlp=Mlp(2, inner, heads, activation=jax.nn.relu, layer=linear, dtype=dtype, rngs=rngs))

    def with_positions(self, x: States, height: int, width: int) -> States:
        """The outputs for a class token and a grid of `height` × `width` patches."""
        table = self.rel_pos.mlp(log_differences(height, width))
        bias = table[relative_index(height, width)].transpose(2, 0, 1)
        return self(x, bias=jnp.pad(bias, ((0, 0), (1, 0), (1, 0)))[None])


class Block(RematBlock):
    """Attention and MLP, each preceded by layer norm, scaled and added to its input."""

    def __init__(self, size: Size, *, dtype, rngs: nnx.Rngs):
        shared = {"dtype": dtype, "rngs": rngs}
        width = size.width
        self.norm1 = layer_norm(width, epsilon=EPSILON, **shared)
        self.attn = Attention(width, size.heads, size.inner, **shared)
        self.ls1 = LayerScale(width, INITIAL_GAMMA, dtype=dtype)
        self.norm2 = layer_norm(width, epsilon=EPSILON, **shared)
        self.mlp = Mlp(width, MLP_RATIO * width, width, layer=linear, **shared)
        self.ls2 = LayerScale(width, INITIAL_GAMMA, dtype=dtype)

    def forward(self, x: States, *, grid: tuple[int, int]) -> States:
        x = x + self.ls1(self.attn.with_positions(self.norm1(x), *grid))
        return x + self.ls2(self.mlp(self.norm2(x)))


class RelPosViT(nnx.Module):
    """A transformer over a class token, whose last state is projected to features of `output_dim`, and patches."""

    def __init__(
        self, size: Size, output_dim: int, *, projection_bias: bool = False, dtype=jnp.float32, rngs: nnx.Rngs
    ):
        shared = {"dtype": dtype, "rngs": rngs}
        patches = conv(3, size.width, size.patch_size, stride=size.patch_size, use_bias=True, **shared)
        self.dtype = dtype
        self.trunk = nnx.Dict(
            patch_embed=nnx.Dict(proj=patches),
            cls_token=nnx.Param(normal(1e-6)(rngs.params(), (1, 1, size.width))),
            blocks=nnx.List(Block(size, **shared) for _ in range(size.layers)),
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
            x = block(x, grid=(rows, columns))
        return self.head.proj(self.trunk.norm(x[:, 0])).astype(jnp.float32)
