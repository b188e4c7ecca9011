"""FastViT, the image tower of MobileCLIP (Vasu et al. 2023, arXiv 2303.14189, and 2024, arXiv 2311.17049; names as in timm).

Most blocks add up parallel branches, each with batch norm, as in the published weights. Fusing them into single
convolutions for inference is not implemented, and neither is stochastic depth (timm_drop_path). All weights are
initialized as in timm. Images may have any size: if a stride does not divide their sides, they are padded with zeros.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import normal, zeros

from cliptail_jax.models.layers import (
    BatchNorm,
    Features,
    Grid,
    Images,
    LayerScale,
    Mask,
    Pixels,
    conv,
    layer_norm,
    normal_linear,
)
from cliptail_jax.models.remat import RematBlock
from cliptail_jax.models.timm_layers import QkvAttention
from cliptail_jax.models.transformer import ACTIVATIONS

HEAD_WIDTH = 32
INITIAL_GAMMA = 1e-5
ATTENTION_FROM = 3  # the first stage with attention, and with positions in front of it

gelu = ACTIVATIONS["gelu"]


class FastViTSize(NamedTuple):
    """A member of timm's.

    Attributes:
      depths: the number of blocks of each stage.
      width: the width of the first stage; each next stage is twice as wide.
      is_large: whether it has the design of MobileCLIP2's two large members: inner widths of MLPs of 4 and not 3 times the
        outer, layer norm and not batch norm in front of attention, no squeeze-and-excitation where the width changes, and
        no 1×1 branch in the stem.
    """

    depths: tuple[int, ...]
    width: int
    is_large: bool


# Sizes of timm's models (github.com/huggingface/pytorch-image-models).
FASTVITS = {
    "fastvit_mci0": FastViTSize((2, 6, 10, 2), 64, False),
    "fastvit_mci1": FastViTSize((4, 12, 20, 4), 64, False),
    "fastvit_mci2": FastViTSize((4, 12, 24, 4), 80, False),
    "fastvit_mci3": FastViTSize((2, 12, 24, 4, 2), 96, True),
    "fastvit_mci4": FastViTSize((2, 12, 24, 4, 4), 128, True),
}


class ConvNorm(nnx.Module):
    """A convolution without bias, and batch norm."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, *, group_size: int, dtype, **options):
        self.conv = conv(inputs, outputs, size, stride=stride, padding=size // 2, dtype=dtype, **options)
        self.bn = BatchNorm(outputs, group_size, dtype=dtype)

    def __call__(self, x: Pixels, train: bool, mask: Mask | None) -> Grid:
        return self.bn(self.conv(x), train, mask)


class SqueezeExcite(nnx.Module):
    """Channels multiplied by gates that two layers compute from the image's mean (Hu et al. 2017, arXiv 1709.01507)."""

    def __init__(self, width: int, inner: int, *, dtype, rngs: nnx.Rngs):
        self.fc1 = conv(width, inner, 1, use_bias=True, dtype=dtype, rngs=rngs)
        self.fc2 = conv(inner, width, 1, use_bias=True, dtype=dtype, rngs=rngs)

    def __call__(self, x: Pixels) -> Pixels:
        return x * jax.nn.sigmoid(self.fc2(jax.nn.relu(self.fc1(x.mean((1, 2), keepdims=True)))))


class MobileOneBlock(nnx.Module):
    """The sum of a convolution, a 1×1 convolution and the input itself, each with batch norm (arXiv 2206.04040).

    Args:
      size: the size of the first convolution. If it is 1, there is no second one.
      depthwise: whether both are depthwise.
      has_scale: whether there is a second convolution.
      has_gates: whether squeeze-and-excitation follows.
      is_linear: whether the block ends without GELU.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        stride: int = 1,
        *,
        depthwise: bool = False,
        has_scale: bool = True,
        has_gates: bool = False,
        is_linear: bool = False,
        group_size: int,
        dtype,
        rngs: nnx.Rngs,
    ):
        setup = {"dtype": dtype, "rngs": rngs}
        options = {"feature_group_count": inputs if depthwise else 1, "group_size": group_size, **setup}
        self.is_linear = is_linear
        self.conv_kxk = nnx.List([ConvNorm(inputs, outputs, size, stride, **options)])
        self.conv_scale = ConvNorm(inputs, outputs, 1, stride, **options) if has_scale and size > 1 else None
        self.identity = BatchNorm(inputs, group_size, dtype=dtype) if inputs == outputs and stride == 1 else None
        self.se = SqueezeExcite(outputs, outputs // 16, **setup) if has_gates else nnx.identity

    def __call__(self, x: Pixels, train: bool, mask: Mask | None) -> Grid:
        branches = (*self.conv_kxk, self.conv_scale, self.identity)
        y = self.se(sum(branch(x, train, mask) for branch in branches if branch is not None))
        return y if self.is_linear else gelu(y)


class LargeKernel(nnx.Module):
    """The sum of a depthwise 7×7 and a depthwise 3×3 convolution of stride 2, each with batch norm; then GELU."""

    def __init__(self, inputs: int, outputs: int, *, has_gates: bool, group_size: int, dtype, rngs: nnx.Rngs):
        setup = {"dtype": dtype, "rngs": rngs}
        options = {"feature_group_count": inputs, "group_size": group_size, **setup}
        self.large_conv = ConvNorm(inputs, outputs, 7, 2, **options)
        self.small_conv = ConvNorm(inputs, outputs, 3, 2, **options)
        width = max(8, int(outputs / 4 + 4) // 8 * 8)  # the multiple of 8 that is nearest to a quarter
        self.se = SqueezeExcite(outputs, width, **setup) if has_gates else nnx.identity

    def __call__(self, x: Pixels, train: bool, mask: Mask | None) -> Grid:
        return gelu(self.se(self.large_conv(x, train, mask) + self.small_conv(x, train, mask)))


class ConvMlp(nnx.Module):
    """A depthwise 7×7 convolution with batch norm, and two linear layers of each pixel with GELU between them."""

    def __init__(self, width: int, inner: int, *, group_size: int, dtype, rngs: nnx.Rngs):
        options = {"kernel_init": normal(0.02), "bias_init": zeros, "dtype": dtype, "rngs": rngs}
        self.conv = ConvNorm(width, width, 7, feature_group_count=width, group_size=group_size, **options)
        self.fc1 = conv(width, inner, 1, use_bias=True, **options)
        self.fc2 = conv(inner, width, 1, use_bias=True, **options)

    def __call__(self, x: Pixels, train: bool, mask: Mask | None) -> Pixels:
        return self.fc2(gelu(self.fc1(self.conv(x, train, mask))))


def layer_scale(width: int, *, dtype) -> LayerScale:
    """A factor per channel, initially 1e-5, in the shape in which timm has it."""
    return LayerScale((width, 1, 1), INITIAL_GAMMA, dtype=dtype)


class RepMixer(nnx.Module):
    """The difference of a depthwise `MobileOneBlock` and of a batch norm, scaled and added to the input."""

    def __init__(self, width: int, *, group_size: int, dtype, rngs: nnx.Rngs):
        options = {"depthwise": True, "is_linear": True, "group_size": group_size, "dtype": dtype, "rngs": rngs}
        self.mixer = MobileOneBlock(width, width, 3, **options)
        self.norm = nnx.Dict(identity=BatchNorm(width, group_size, dtype=dtype))
        self.layer_scale = layer_scale(width, dtype=dtype)

    def __call__(self, x: Pixels, train: bool, mask: Mask | None) -> Pixels:
        return x + self.layer_scale(self.mixer(x, train, mask) - self.norm.identity(x, train, mask))


class RepMixerBlock(RematBlock):
    """A `RepMixer`, and an MLP added to its input."""

    def __init__(self, width: int, inner: int, *, group_size: int, dtype, rngs: nnx.Rngs):
        options = {"group_size": group_size, "dtype": dtype, "rngs": rngs}
        self.token_mixer = RepMixer(width, **options)
        self.mlp = ConvMlp(width, inner, **options)
        self.layer_scale = layer_scale(width, dtype=dtype)

    def forward(self, x: Pixels, *, train: bool, mask: Mask | None) -> Pixels:
        x = self.token_mixer(x, train, mask)
        return x + self.layer_scale(self.mlp(x, train, mask))


class AttentionBlock(RematBlock):
    """Attention, preceded by a norm, and an MLP, each added to its input."""

    def __init__(self, width: int, inner: int, *, is_large: bool, group_size: int, dtype, rngs: nnx.Rngs):
        setup = {"dtype": dtype, "rngs": rngs}
        self.norm = layer_norm(width, **setup) if is_large else BatchNorm(width, group_size, dtype=dtype)
        self.token_mixer = QkvAttention(width, width // HEAD_WIDTH, qkv_bias=False, **setup)
        self.layer_scale_1 = layer_scale(width, dtype=dtype)
        self.mlp = ConvMlp(width, inner, group_size=group_size, **setup)
        self.layer_scale_2 = layer_scale(width, dtype=dtype)

    def forward(self, x: Pixels, *, train: bool, mask: Mask | None) -> Pixels:
        batch, height, width, channels = x.shape
        y = self.norm(x, train, mask) if isinstance(self.norm, BatchNorm) else self.norm(x)
        y = self.token_mixer(y.reshape(batch, height * width, channels)).reshape(x.shape)
        x = x + self.layer_scale_1(y)
        return x + self.layer_scale_2(self.mlp(x, train, mask))


class FastViTStage(nnx.Module):
    """Blocks of one width. Each stage has half the sides and twice the width of the previous one.

    Stages with attention add a depthwise 7×7 convolution to their input, which encodes positions by the zeros beyond the
    borders (Chu et al. 2021, arXiv 2102.10882).
    """

    def __init__(self, index: int, size: FastViTSize, *, group_size: int, dtype, rngs: nnx.Rngs):
        setup = {"dtype": dtype, "rngs": rngs}
        options = {"group_size": group_size, **setup}
        width = size.width * 2**index
        inner = width * (4 if size.is_large else 3)
        if index:
            has_gates = not size.is_large and index >= 2
            downsampling = LargeKernel(width // 2, width, has_gates=has_gates, **options)
            self.downsample = nnx.Dict(proj=nnx.List([downsampling, MobileOneBlock(width, width, 1, **options)]))
        else:
            self.downsample = None
        if index >= ATTENTION_FROM:
            position = conv(width, width, 7, padding=3, feature_group_count=width, use_bias=True, **setup)
            self.pos_emb = nnx.Dict(pos_enc=position)
        else:
            self.pos_emb = None

        def block() -> RematBlock:
            if index >= ATTENTION_FROM:
                return AttentionBlock(width, inner, is_large=size.is_large, **options)
            return RepMixerBlock(width, inner, **options)

        self.blocks = nnx.List(block() for _ in range(size.depths[index]))

    def __call__(self, x: Pixels, train: bool, mask: Mask | None) -> Grid:
        if self.downsample is not None:
            for layer in self.downsample.proj:
                x = layer(x, train, mask)
        if self.pos_emb is not None:
            x = x + self.pos_emb.pos_enc(x)
        for block in self.blocks:
            x = block(x, train=train, mask=mask)
        return x


class FastViT(nnx.Module):
    """A stem, four or five stages, a convolution, the mean of the pixels, and a projection to features of `output_dim`.

    `group_size` is that of `BatchNorm`.
    """

    def __init__(self, size: FastViTSize, output_dim: int, *, group_size: int = 0, dtype=jnp.float32, rngs: nnx.Rngs):
        setup = {"dtype": dtype, "rngs": rngs}
        options = {"group_size": group_size, **setup}
        stem_options = {"has_scale": not size.is_large, **options}
        width, last_width = size.width, size.width * 2 ** (len(size.depths) - 1)
        stem = [
            MobileOneBlock(3, width, 3, 2, **stem_options),
            MobileOneBlock(width, width, 3, 2, depthwise=True, **stem_options),
            MobileOneBlock(width, width, 1, **stem_options),
        ]
        self.trunk = nnx.Dict(
            stem=nnx.List(stem),
            stages=nnx.List(FastViTStage(index, size, **options) for index in range(len(size.depths))),
            final_conv=MobileOneBlock(last_width, 2 * last_width, 3, depthwise=True, has_gates=True, **options),
            head=nnx.Dict(fc=normal_linear(2 * last_width, output_dim, **setup)),
        )

    def __call__(self, images: Images, train: bool = False, mask: Mask | None = None) -> Features:
        """Unnormalized features; in training, examples whose `mask` is False are excluded from the batch statistics."""
        x = images
        for layer in (*self.trunk.stem, *self.trunk.stages, self.trunk.final_conv):
            x = layer(x, train, mask)
        return self.trunk.head.fc(x.mean((1, 2))).astype(jnp.float32)
