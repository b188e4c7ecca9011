"""A small residual network of basic blocks for images of 32×32 pixels (He et al. 2016, arXiv 1512.03385).

Every stage halves the resolution, including the first: only the stem runs at full resolution, which makes the network
fast on a CPU. No norm starts with a gain of zero: with so few blocks, the shortcuts alone would see one pixel in 64.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from cliptail_jax.models.fast_conv import fast_conv
from cliptail_jax.models.layers import BatchNorm, Features, Grid, Images, Mask, Pixels, conv, linear
from cliptail_jax.models.remat import RematBlock


class BasicBlock(RematBlock):
    """Two 3×3 convolutions and a shortcut, which is projected if the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, group_size: int, dtype, rngs: nnx.Rngs):
        options = {"conv_general_dilated": fast_conv, "dtype": dtype, "rngs": rngs}
        self.conv1 = conv(inputs, outputs, 3, stride=stride, padding=1, **options)
        self.bn1 = BatchNorm(outputs, group_size, dtype=dtype)
        self.conv2 = conv(outputs, outputs, 3, padding=1, **options)
        self.bn2 = BatchNorm(outputs, group_size, dtype=dtype)
        if stride > 1 or inputs != outputs:
            projection = conv(inputs, outputs, 1, stride=stride, **options)
            self.downsample = nnx.List([projection, BatchNorm(outputs, group_size, dtype=dtype)])
        else:
            self.downsample = None

    def forward(self, x: Pixels, *, train: bool, mask: Mask | None) -> Grid:
        shortcut = x
        if self.downsample is not None:
            projection, norm = self.downsample
            shortcut = norm(projection(x), train, mask)
        x = jax.nn.relu(self.bn1(self.conv1(x), train, mask))
        x = self.bn2(self.conv2(x), train, mask)
        return jax.nn.relu(x + shortcut)


class BasicResNet(nnx.Module):
    """A 3×3 stem, three stages of stride 2 with `width`, 2 `width` and 4 `width` channels, mean pooling, a linear layer."""

    def __init__(
        self,
        layers: Sequence[int],
        width: int,
        output_dim: int,
        *,
        group_size: int = 0,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        def stage(inputs: int, outputs: int, blocks: int) -> nnx.List:
            shape = [(inputs, outputs, 2)] + [(outputs, outputs, 1)] * (blocks - 1)
            return nnx.List([BasicBlock(*s, group_size=group_size, dtype=dtype, rngs=rngs) for s in shape])

        self.conv1 = conv(3, width, 3, padding=1, conv_general_dilated=fast_conv, dtype=dtype, rngs=rngs)
        self.bn1 = BatchNorm(width, group_size, dtype=dtype)
        self.layer1 = stage(width, width, layers[0])
        self.layer2 = stage(width, 2 * width, layers[1])
        self.layer3 = stage(2 * width, 4 * width, layers[2])
        self.fc = linear(4 * width, output_dim, dtype=dtype, rngs=rngs)

    def __call__(self, images: Images, train: bool = False, mask: Mask | None = None) -> Features:
        """Unnormalized features; in training, examples whose `mask` is False are excluded from the batch statistics."""
        x = jax.nn.relu(self.bn1(self.conv1(images), train, mask))
        for block in [*self.layer1, *self.layer2, *self.layer3]:
            x = block(x, train=train, mask=mask)
        return self.fc(x.mean((1, 2))).astype(jnp.float32)
