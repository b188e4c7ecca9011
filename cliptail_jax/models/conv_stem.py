"""The convolutional stem of MobileCLIP's vision transformer (Vasu et al. 2024, arXiv 2311.17049; names as in timm)."""

import jax.numpy as jnp
from flax import nnx

from cliptail_jax.models.layers import BatchNorm, Grid, Images, Mask, conv
from cliptail_jax.models.transformer import ACTIVATIONS

STRIDES = (4, 2, 2)  # and kernel sizes
REDUCTION = 4  # of the width between the convolutions


class ConvStem(nnx.Module):
    """Three convolutions whose windows do not overlap, with batch norm and GELU between them.

    `group_size` is that of `BatchNorm`.
    """

    def __init__(self, width: int, *, group_size: int = 0, dtype=jnp.float32, rngs: nnx.Rngs):
        channels = (3, width // REDUCTION, width // REDUCTION, width)
        backbone = []
        for i, size in enumerate(STRIDES):
            is_last = i == len(STRIDES) - 1
            options = {"stride": size, "use_bias": is_last, "dtype": dtype, "rngs": rngs}
            norm = {} if is_last else {"bn": BatchNorm(channels[i + 1], group_size, dtype=dtype)}
            backbone.append(nnx.Dict(conv=conv(*channels[i : i + 2], size, **options), **norm))
        self.backbone = nnx.List(backbone)

    def __call__(self, images: Images, train: bool, mask: Mask | None) -> Grid:
        """One token per 16 × 16 pixels; examples whose `mask` is False are excluded from the batch statistics."""
        x = images
        for layer in self.backbone:
            x = layer.conv(x)
            if "bn" in layer:
                x = ACTIVATIONS["gelu"](layer.bn(x, train, mask))
        return x
