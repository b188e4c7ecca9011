"""CLIP's modified ResNet (Radford et al. 2021, arXiv 2103.00020, section 2.4; names as in openai/CLIP).

It has a stem of three convolutions and average pooling; bottlenecks that downsample by average pooling, so that no
convolution but the first has a stride; and attention pooling whose query is the mean token. RN50 has layers
(3, 4, 6, 3), width 64, 32 heads, output_dim 1024 and image_size 224.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import normal

from cliptail_jax.models.attention import attend
from cliptail_jax.models.layers import BatchNorm, Features, Grid, Images, Mask, Pixels, average_pool, conv, linear
from cliptail_jax.models.positions import token_positions
from cliptail_jax.models.remat import RematBlock
from cliptail_jax.models.transformer import CONFIGURATION, head_width

EXPANSION = 4  # a bottleneck's output channels per inner channel
STRIDE = 32  # of the last stage


class Bottleneck(RematBlock):
    """1×1, 3×3 and 1×1 convolutions, with average pooling by `stride` before the third and on the shortcut.

    CLIP initializes the last norm's gain to 0, so that every block starts as its shortcut; with `pytorch_init` it is 1.
    """

    def __init__(
        self, inputs: int, planes: int, stride: int, *, group_size: int, pytorch_init: bool, dtype, rngs: nnx.Rngs
    ):
        outputs = planes * EXPANSION
        self.stride = stride
        self.conv1 = conv(inputs, planes, 1, dtype=dtype, rngs=rngs)
        self.bn1 = BatchNorm(planes, group_size, dtype=dtype)
        self.conv2 = conv(planes, planes, 3, padding=1, dtype=dtype, rngs=rngs)
        self.bn2 = BatchNorm(planes, group_size, dtype=dtype)
        self.conv3 = conv(planes, outputs, 1, dtype=dtype, rngs=rngs)
        self.bn3 = BatchNorm(outputs, group_size, initial_scale=float(pytorch_init), dtype=dtype)
        if stride > 1 or inputs != outputs:
            projection = conv(inputs, outputs, 1, dtype=dtype, rngs=rngs)
            self.downsample = nnx.List([projection, BatchNorm(outputs, group_size, dtype=dtype)])
        else:
            self.downsample = None

    def forward(self, x: Pixels, *, train: bool, mask: Mask | None) -> Grid:
        shortcut = x
        if self.downsample is not None:
            projection, norm = self.downsample
            shortcut = norm(projection(average_pool(x, self.stride)), train, mask)
        x = jax.nn.relu(self.bn1(self.conv1(x), train, mask))
        x = jax.nn.relu(self.bn2(self.conv2(x), train, mask))
        x = self.bn3(self.conv3(average_pool(x, self.stride)), train, mask)
        return jax.nn.relu(x + shortcut)


class AttentionPool2d(nnx.Module):
    """Multi-head attention over the pixels and their mean, whose only query is the mean.

    The positional embedding is that of `side` × `side` pixels; `resampling` is for others. CLIP initializes the kernels
    of the projections from a normal distribution with standard deviation width^-0.5; with `pytorch_init` they are
    uniform, PyTorch's default for linear layers.
    """

    def __init__(
        self,
        side: int,
        width: int,
        heads: int,
        output_dim: int,
        *,
        resampling: str,
        pytorch_init: bool,
        dtype,
        rngs: nnx.Rngs,
    ):
        options = {"dtype": dtype, "rngs": rngs} | ({} if pytorch_init else {"kernel_init": normal(width**-0.5)})
        head_width(CONFIGURATION, heads, width)
        self.heads = heads
        self.resampling = resampling
        self.dtype = dtype
        self.positional_embedding = nnx.Param(normal(width**-0.5)(rngs.params(), (side**2 + 1, width)))
        self.q_proj = linear(width, width, **options)
        self.k_proj = linear(width, width, **options)
        self.v_proj = linear(width, width, **options)
        self.c_proj = linear(width, output_dim, **options)

    def __call__(self, x: Pixels) -> Features:
        batch, height, width, channels = x.shape
        pixels = x.reshape(batch, -1, channels)
        tokens = jnp.concatenate([pixels.mean(1, keepdims=True), pixels], 1)
        positions = token_positions(self.positional_embedding[...], height, width, self.resampling)
        tokens = tokens + positions.astype(self.dtype)
        query, key, value = self.q_proj(tokens[:, :1]), self.k_proj(tokens), self.v_proj(tokens)
        return self.c_proj(attend(query, key, value, self.heads)[:, 0])


class ModifiedResNet(nnx.Module):
    """CLIP's ResNet for square images of `image_size` pixels, a multiple of 32.

    `resampling` of the positional embedding is for images of other sizes, as in `positions.token_positions`. With
    `pytorch_init`, all parameters but the positional embedding have PyTorch's default initialization instead of CLIP's.
    `group_size` is that of `BatchNorm`.
    """

    def __init__(
        self,
        layers: Sequence[int],
        width: int,
        heads: int,
        output_dim: int,
        image_size: int,
        *,
        group_size: int = 0,
        resampling: str = "",
        pytorch_init: bool = False,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        options = {"pytorch_init": pytorch_init, "dtype": dtype, "rngs": rngs}
        half = width // 2

        def stage(inputs: int, planes: int, blocks: int, stride: int) -> nnx.List:
            shape = [(inputs, planes, stride)] + [(planes * EXPANSION, planes, 1)] * (blocks - 1)
            return nnx.List([Bottleneck(*s, group_size=group_size, **options) for s in shape])

        self.conv1 = conv(3, half, 3, stride=2, padding=1, dtype=dtype, rngs=rngs)
        self.bn1 = BatchNorm(half, group_size, dtype=dtype)
        self.conv2 = conv(half, half, 3, padding=1, dtype=dtype, rngs=rngs)
        self.bn2 = BatchNorm(half, group_size, dtype=dtype)
        self.conv3 = conv(half, width, 3, padding=1, dtype=dtype, rngs=rngs)
        self.bn3 = BatchNorm(width, group_size, dtype=dtype)
        self.layer1 = stage(width, width, layers[0], 1)
        self.layer2 = stage(4 * width, 2 * width, layers[1], 2)
        self.layer3 = stage(8 * width, 4 * width, layers[2], 2)
        self.layer4 = stage(16 * width, 8 * width, layers[3], 2)
        pool = (image_size // STRIDE, 32 * width, heads, output_dim)
        self.attnpool = AttentionPool2d(*pool, resampling=resampling, **options)

    def __call__(self, images: Images, train: bool = False, mask: Mask | None = None) -> Features:
        """Unnormalized features; in training, examples whose `mask` is False are excluded from the batch statistics."""
        x = images
        for convolution, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = jax.nn.relu(norm(convolution(x), train, mask))
        x = average_pool(x, 2)
        for block in [*self.layer1, *self.layer2, *self.layer3, *self.layer4]:
            x = block(x, train=train, mask=mask)
        return self.attnpool(x).astype(jnp.float32)
