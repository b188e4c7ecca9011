"""ViTamin as CLIP's image tower (Chen et al. 2024, arXiv 2404.02132; names as in timm, under `trunk` and `head`).

Two stages of convolutions reduce the image to a grid of 1/16 of its sides. A transformer with gated MLPs uses its cells
as tokens; there is no class token. All weights are initialized as in timm. Stochastic depth (timm_drop_path) is not
implemented.
"""

import math
from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import normal, zeros

from cliptail_jax.models.attention import States
from cliptail_jax.models.layers import Features, Grid, Images, Mask, Pixels, conv, layer_norm, linear, normal_linear
from cliptail_jax.models.positions import check_grid
from cliptail_jax.models.remat import RematBlock
from cliptail_jax.models.timm_blocks import Block, BlockShape
from cliptail_jax.models.transformer import ACTIVATIONS

DEPTHS = (2, 4)  # blocks of the two stages of convolutions
EXPANSION = 4  # inner channels of a block of convolutions per outer channel
MLP_RATIO = 2  # an MLP's inner width per outer width
STRIDE = 16
EPSILON = 1e-6  # of all layer norms

gelu = ACTIVATIONS["gelu"]


@dataclass(frozen=True)
class ViTaminSize:
    """A member of timm's.

    Attributes:
      widths: the widths of the two stages of convolutions and of the transformer.
      layers, heads: the sizes of the transformer.
      image_size: the side of the images in pixels, for which it has positions; None if it has none, and takes images
        of any size.
    """

    widths: tuple[int, int, int]
    layers: int
    heads: int
    image_size: int | None


# Sizes of timm's models (github.com/huggingface/pytorch-image-models).
VITAMINS = {
    "vitamin_small_224": ViTaminSize((64, 128, 384), 14, 6, 224),
    "vitamin_base_224": ViTaminSize((128, 256, 768), 14, 12, 224),
    **{
        f"vitamin_{name}_{side}": ViTaminSize((160, 320, 1024), 31, 16, side)
        for name in ("large", "large2")
        for side in (224, 256, 336, 384)
    },
    **{f"vitamin_xlarge_{side}": ViTaminSize((192, 384, 1152), 32, 16, None) for side in (256, 336, 384)},
}


def convolution(inputs: int, outputs: int, size: int = 1, *, groups: int = 1, **options) -> nnx.Conv:
    """A convolution with bias that keeps the sides of the image or divides them by its stride.

    The kernel's initial variance is 2 per weight that contributes to the gradient of an input (He et al. 2015, arXiv
    1502.01852, section 2.2).
    """
    init = normal((2 * groups / (outputs * size * size)) ** 0.5)
    defaults = {"feature_group_count": groups, "use_bias": True, "kernel_init": init, "bias_init": zeros}
    return conv(inputs, outputs, size, padding=size // 2, **defaults | options)


class Downsample(nnx.Module):
    """Mean over the pixels within 3×3, with stride 2, and a 1×1 convolution if the width changes."""

    def __init__(self, inputs: int, outputs: int, *, dtype, rngs: nnx.Rngs):
        self.expand = nnx.identity if inputs == outputs else convolution(inputs, outputs, dtype=dtype, rngs=rngs)

    def __call__(self, x: Pixels) -> Grid:
        window = {"padding": [(1, 1)] * 2, "count_include_pad": False}
        return self.expand(nnx.avg_pool(x.astype(jnp.float32), (3, 3), (2, 2), **window).astype(x.dtype))


class ConvBlock(RematBlock):
    """Layer norm, a 1×1, a depthwise 3×3 and a 1×1 convolution, added to the input; the first of a stage has stride 2."""

    def __init__(self, inputs: int, width: int, stride: int, *, dtype, rngs: nnx.Rngs):
        setup = {"dtype": dtype, "rngs": rngs}
        inner = EXPANSION * width
        self.shortcut = Downsample(inputs, width, **setup) if stride == 2 else nnx.identity
        self.pre_norm = layer_norm(inputs, epsilon=EPSILON, **setup)
        self.conv1_1x1 = convolution(inputs, inner, **setup)
        self.conv2_kxk = convolution(inner, inner, 3, stride=stride, groups=inner, **setup)
        self.conv3_1x1 = convolution(inner, width, **setup)

    def forward(self, x: Pixels) -> Grid:
        y = gelu(self.conv1_1x1(self.pre_norm(x)))
        return self.conv3_1x1(gelu(self.conv2_kxk(y))) + self.shortcut(x)


class GatedMlp(nnx.Module):
    """Layer norm, and a linear layer gated by the GELU of another (GEGLU: Shazeer 2020, arXiv 2002.05202).

    A block has a layer norm of its own in front of it.
    """

    def __init__(self, shape: BlockShape, *, dtype, rngs: nnx.Rngs):
        setup = {"dtype": dtype, "rngs": rngs}
        self.norm = layer_norm(shape.width, epsilon=shape.epsilon, **setup)
        self.w0 = normal_linear(shape.width, shape.inner, **setup)
        self.w1 = normal_linear(shape.width, shape.inner, **setup)
        self.w2 = normal_linear(shape.inner, shape.width, shape.output_std, **setup)

    def __call__(self, x: States) -> States:
        x = self.norm(x)
        return self.w2(gelu(self.w0(x)) * self.w1(x))


def backbone(widths: tuple[int, int, int], *, dtype, rngs: nnx.Rngs) -> nnx.Dict:
    """The layers that turn an image into a grid of 1/16 of its sides: a stem, two stages, and a convolution of stride 2."""
    setup = {"dtype": dtype, "rngs": rngs}
    narrow, middle, wide = widths
    stem = nnx.Dict(
        conv1=convolution(3, narrow, 3, stride=2, **setup),
        norm1=layer_norm(narrow, epsilon=EPSILON, **setup),
        conv2=convolution(narrow, narrow, 3, **setup),
    )
    stages = nnx.List(
        nnx.List(ConvBlock(inputs if i == 0 else width, width, 2 if i == 0 else 1, **setup) for i in range(depth))
        for inputs, width, depth in ((narrow, narrow, DEPTHS[0]), (narrow, middle, DEPTHS[1]))
    )
    # timm leaves this one convolution its default initialization.
    pool = nnx.Dict(
        norm=layer_norm(middle, epsilon=EPSILON, **setup),
        proj=conv(middle, wide, 3, stride=2, padding=1, use_bias=True, **setup),
    )
    return nnx.Dict(stem=stem, stages=stages, pool=pool)


class ViTamin(nnx.Module):
    """Convolutions, a transformer over their grid, the mean of its tokens, layer norm and a projection to the features.

    The sides of the images are multiples of 16. `image_size` is that of the positional embedding, if `size` has one.
    """

    def __init__(
        self,
        size: ViTaminSize,
        output_dim: int,
        image_size: int,
        *,
        projection_bias: bool = False,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        setup = {"dtype": dtype, "rngs": rngs}
        width = size.widths[-1]
        shape = BlockShape(width, size.heads, MLP_RATIO * width, EPSILON)
        self.dtype = dtype
        self.trunk = nnx.Dict(
            patch_embed=nnx.Dict(backbone=backbone(size.widths, **setup)),
            blocks=nnx.List(Block(shape, make_mlp=GatedMlp, **setup) for _ in range(size.layers)),
            fc_norm=layer_norm(width, epsilon=EPSILON, **setup),
        )
        self.has_positions = size.image_size is not None
        if self.has_positions:
            self.trunk.pos_embed = nnx.Param(normal(0.02)(rngs.params(), (1, (image_size // STRIDE) ** 2, width)))
        self.head = nnx.Dict(proj=linear(width, output_dim, use_bias=projection_bias, **setup))

    def __call__(self, images: Images, train: bool = False, mask: Mask | None = None) -> Features:
        """Unnormalized features. `train` and `mask`, which all image towers accept, have no effect."""
        del train, mask
        stem, stages, pool = (self.trunk.patch_embed.backbone[part] for part in ("stem", "stages", "pool"))
        x = stem.conv2(gelu(stem.norm1(stem.conv1(images))))
        for stage in stages:
            for block in stage:
                x = block(x)
        x = pool.proj(pool.norm(x))
        batch, rows, columns, width = x.shape
        x = x.reshape(batch, rows * columns, width)
        if self.has_positions:
            positions = self.trunk.pos_embed[...]
            check_grid(rows, columns, math.isqrt(positions.shape[1]))
            x = x + positions.astype(self.dtype)
        for block in self.trunk.blocks:
            x = block(x)
        return self.head.proj(self.trunk.fc_norm(x.mean(1))).astype(jnp.float32)
