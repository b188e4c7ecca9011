"""Swin transformers as CLIP's image tower (Liu et al. 2021, arXiv 2103.14030; names as in timm, under `trunk` and `head`).

Images have one size only. All weights are initialized as in timm. Stochastic depth (in timm 0.1 unless timm_drop_path
is given) is not implemented.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Bool, Float, Num

from cliptail_jax.models.layers import Features, Grid, Images, Mask, Pixels, conv, layer_norm, linear, normal_linear
from cliptail_jax.models.remat import RematBlock
from cliptail_jax.models.timm_layers import Mlp, QkvAttention, relative_index

PATCH = 4
MLP_RATIO = 4  # an MLP's inner width per outer width


@dataclass(frozen=True)
class Size:
    """A member of timm's.

    Attributes:
      depths: the number of blocks of each stage.
      heads: of each stage.
      width: of the first stage; each has twice the width of the one before.
      window: the side of a window in cells.
      image_size: the side of the images in pixels; all stages' grids must consist of whole windows.
    """

    depths: tuple[int, ...]
    heads: tuple[int, ...]
    width: int
    window: int
    image_size: int


# Sizes of timm's models (github.com/huggingface/pytorch-image-models).
SWINS = {"swin_base_patch4_window7_224": Size((2, 2, 18, 2), (4, 8, 16, 32), 128, 7, 224)}


def to_windows(
    x: Num[Array | np.ndarray, "batch height width channels"], window: int
) -> Num[Array | np.ndarray, "batch windows cells channels"]:
    """The windows of an image, in row-major order."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // window, window, width // window, window, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, -1, window * window, channels)


def from_windows(x: Float[Array, "batch windows cells channels"], side: int, window: int) -> Pixels:
    """The square image of `side` cells that consists of these windows."""
    batch, _, _, channels = x.shape
    x = x.reshape(batch, side // window, side // window, window, window, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, side, side, channels)


def same_part(side: int, window: int, shift: int) -> Bool[np.ndarray, "windows cells cells"]:
    """Marks the pairs of cells of a shifted window that were in one part of the image before parts wrapped around its border."""
    part = np.searchsorted([side - window, side - shift], np.arange(side), side="right")
    parts = to_windows((3 * part[:, None] + part)[None, :, :, None], window)[0, :, :, 0]
    return parts[:, :, None] == parts[:, None, :]


class WindowAttention(QkvAttention):
    """Attention within windows, with a bias for each difference of two cells."""

    def __init__(self, width: int, heads: int, window: int, *, dtype, rngs: nnx.Rngs):
        super().__init__(width, heads, dtype=dtype, rngs=rngs)
        table = normal(0.02)(rngs.params(), ((2 * window - 1) ** 2, heads))
        self.relative_position_bias_table = nnx.Param(table)
        self.dtype = dtype

    def attend_windows(
        self,
        x: Float[Array, "batch windows cells channels"],
        window: int,
        visible: Bool[np.ndarray, "windows cells cells"] | None,
    ) -> Float[Array, "batch windows cells channels"]:
        """The outputs; no cell attends to those that are not `visible`, if it is given."""
        batch, windows, cells, channels = x.shape
        table = self.relative_position_bias_table[...].astype(self.dtype)
        bias = table[relative_index(window, window)].transpose(2, 0, 1)[None]
        mask = None if visible is None else jnp.tile(visible, (batch, 1, 1))[:, None]
        return self(x.reshape(batch * windows, cells, channels), bias=bias, mask=mask).reshape(x.shape)


class Block(RematBlock):
    """Attention within windows, shifted by `shift` cells, and MLP, each preceded by layer norm and added to its input."""

    def __init__(self, width: int, heads: int, window: int, shift: int, *, dtype, rngs: nnx.Rngs):
        shared = {"dtype": dtype, "rngs": rngs}
        self.window, self.shift = window, shift
        self.norm1 = layer_norm(width, **shared)
        self.attn = WindowAttention(width, heads, window, **shared)
        self.norm2 = layer_norm(width, **shared)
        self.mlp = Mlp(width, MLP_RATIO * width, width, **shared)

    def forward(self, x: Pixels) -> Pixels:
        side, shift = x.shape[1], self.shift
        windows = to_windows(jnp.roll(self.norm1(x), (-shift, -shift), (1, 2)), self.window)
        visible = same_part(side, self.window, shift) if shift else None
        attended = self.attn.attend_windows(windows, self.window, visible)
        x = x + jnp.roll(from_windows(attended, side, self.window), (shift, shift), (1, 2))
        return x + self.mlp(self.norm2(x))


class Merging(nnx.Module):
    """Layer norm and a linear layer of each square of 2 × 2 cells: half the side, twice the width."""

    def __init__(self, width: int, *, dtype, rngs: nnx.Rngs):
        self.norm = layer_norm(4 * width, dtype=dtype, rngs=rngs)
        self.reduction = normal_linear(4 * width, 2 * width, use_bias=False, dtype=dtype, rngs=rngs)

    def __call__(self, x: Pixels) -> Grid:
        batch, height, width, channels = x.shape
        x = x.reshape(batch, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 4, 2, 5)
        return self.reduction(self.norm(x.reshape(batch, height // 2, width // 2, 4 * channels)))


class Swin(nnx.Module):
    """Patches, stages of blocks whose windows are shifted in every second one, the mean, and a projection to features."""

    def __init__(
        self, size: Size, output_dim: int, *, projection_bias: bool = False, dtype=jnp.float32, rngs: nnx.Rngs
    ):
        shared = {"dtype": dtype, "rngs": rngs}
        patches = conv(3, size.width, PATCH, stride=PATCH, use_bias=True, **shared)
        layers = []
        for stage, (depth, heads) in enumerate(zip(size.depths, size.heads, strict=True)):
            width, side = size.width * 2**stage, size.image_size // PATCH // 2**stage
            shift = size.window // 2 if side > size.window else 0
            blocks = (Block(width, heads, size.window, shift * (i % 2), **shared) for i in range(depth))
            merging = {"downsample": Merging(width // 2, **shared)} if stage else {}
            layers.append(nnx.Dict(blocks=nnx.List(blocks), **merging))
        self.trunk = nnx.Dict(
            patch_embed=nnx.Dict(proj=patches, norm=layer_norm(size.width, **shared)),
            layers=nnx.List(layers),
            norm=layer_norm(width, **shared),
        )
        self.head = nnx.Dict(proj=linear(width, output_dim, use_bias=projection_bias, **shared))

    def __call__(self, images: Images, train: bool = False, mask: Mask | None = None) -> Features:
        """Unnormalized features. `train` and `mask`, which all image towers accept, have no effect."""
        del train, mask
        x = self.trunk.patch_embed.norm(self.trunk.patch_embed.proj(images))
        for stage in self.trunk.layers:
            x = stage.downsample(x) if "downsample" in stage else x
            for block in stage.blocks:
                x = block(x)
        return self.head.proj(self.trunk.norm(x).mean((1, 2))).astype(jnp.float32)
