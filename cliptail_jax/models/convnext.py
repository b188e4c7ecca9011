"""ConvNeXt as CLIP's image tower (Liu et al. 2022, arXiv 2201.03545; names as in timm, under `trunk` and `head`).

Stochastic depth (timm_drop_path) is not implemented.
"""

from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
from flax import nnx

from cliptail_jax.models.layers import Features, Grid, Images, Mask, Pixels, conv, layer_norm, linear
from cliptail_jax.models.remat import RematBlock
from cliptail_jax.models.timm_layers import Mlp

MLP_RATIO = 4  # an MLP's inner width per outer width
STEM = 4  # stride of the stem
STRIDE = 32  # of the last stage
INITIAL_GAMMA = 1e-6
# Depths, widths and the layer norms' epsilon of timm's models (github.com/huggingface/pytorch-image-models).
CONVNEXTS = {
    "convnext_tiny": ((3, 3, 9, 3), (96, 192, 384, 768), 1e-6),
    "convnext_small": ((3, 3, 27, 3), (96, 192, 384, 768), 1e-6),
    "convnext_base": ((3, 3, 27, 3), (128, 256, 512, 1024), 1e-6),
    "convnext_large": ((3, 3, 27, 3), (192, 384, 768, 1536), 1e-6),
    "convnext_xlarge": ((3, 3, 27, 3), (256, 512, 1024, 2048), 1e-6),
    "convnext_xxlarge": ((3, 4, 30, 3), (384, 768, 1536, 3072), 1e-5),
}

# Initialized as `normal_linear`, as all of timm's trunk is.
CONVOLUTION = {"use_bias": True, "kernel_init": nnx.initializers.normal(0.02), "bias_init": nnx.initializers.zeros}


def patches(inputs: int, outputs: int, size: int, **options) -> nnx.Conv:
    """A convolution over patches that do not overlap, with bias."""
    return conv(inputs, outputs, size, stride=size, **CONVOLUTION, **options)


class ConvNeXtBlock(RematBlock):
    """Depthwise 7×7 convolution, layer norm and MLP, multiplied by `gamma` and added to the input."""

    def __init__(self, width: int, epsilon: float, *, dtype, rngs: nnx.Rngs):
        self.dtype = dtype
        options = {"feature_group_count": width, **CONVOLUTION}
        self.conv_dw = conv(width, width, 7, padding=3, **options, dtype=dtype, rngs=rngs)
        self.norm = layer_norm(width, epsilon=epsilon, dtype=dtype, rngs=rngs)
        self.mlp = Mlp(width, MLP_RATIO * width, width, dtype=dtype, rngs=rngs)
        self.gamma = nnx.Param(jnp.full(width, INITIAL_GAMMA))

    def forward(self, x: Pixels) -> Pixels:
        return x + self.gamma[...].astype(self.dtype) * self.mlp(self.norm(self.conv_dw(x)))


class ConvNeXtStage(nnx.Module):
    """Blocks of one width, preceded by layer norm and a 2×2 convolution of stride 2 if the width changes."""

    def __init__(self, inputs: int, width: int, depth: int, epsilon: float, *, dtype, rngs: nnx.Rngs):
        if inputs == width:
            self.downsample = None
        else:
            norm = layer_norm(inputs, epsilon=epsilon, dtype=dtype, rngs=rngs)
            self.downsample = nnx.List([norm, patches(inputs, width, 2, dtype=dtype, rngs=rngs)])
        self.blocks = nnx.List(ConvNeXtBlock(width, epsilon, dtype=dtype, rngs=rngs) for _ in range(depth))

    def __call__(self, x: Pixels) -> Grid:
        if self.downsample is not None:
            norm, convolution = self.downsample
            x = convolution(norm(x))
        for block in self.blocks:
            x = block(x)
        return x


class ConvNeXt(nnx.Module):
    """A stem of patches, four stages, pooling by the mean, layer norm and a projection to the features.

    The sides of the images are multiples of 32.

    Args:
      depths: the number of blocks of each stage.
      widths: the number of channels of each stage.
      output_dim: the width of the features.
      epsilon: the epsilon of the layer norms.
      projection: a 'linear' layer, or an 'mlp' of inner width 2 output_dim.
      projection_bias: whether the last layer of the projection has a bias.
    """

    def __init__(
        self,
        depths: Sequence[int],
        widths: Sequence[int],
        output_dim: int,
        *,
        epsilon: float = 1e-6,
        projection: str = "linear",
        projection_bias: bool = False,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        options = {"dtype": dtype, "rngs": rngs}
        norm = layer_norm(widths[0], epsilon=epsilon, **options)
        stem = nnx.List([patches(3, widths[0], STEM, **options), norm])
        shapes = zip((widths[0], *widths), widths, depths)
        stages = nnx.List(ConvNeXtStage(*shape, epsilon, **options) for shape in shapes)
        pooled_norm = layer_norm(widths[-1], epsilon=epsilon, **options)
        self.trunk = nnx.Dict(stem=stem, stages=stages, head=nnx.Dict(norm=pooled_norm))
        if projection == "mlp":
            layers = {"layer": linear, "last": partial(linear, use_bias=projection_bias)}
            self.head = nnx.Dict(mlp=Mlp(widths[-1], 2 * output_dim, output_dim, **layers, **options))
        else:
            self.head = nnx.Dict(proj=linear(widths[-1], output_dim, use_bias=projection_bias, **options))

    def __call__(self, images: Images, train: bool = False, mask: Mask | None = None) -> Features:
        """Unnormalized features. `train` and `mask`, which all image towers accept, have no effect."""
        del train, mask
        convolution, norm = self.trunk.stem
        x = norm(convolution(images))
        for stage in self.trunk.stages:
            x = stage(x)
        features = self.trunk.head.norm(x.mean((1, 2)))
        (projection,) = self.head.values()
        return projection(features).astype(jnp.float32)
