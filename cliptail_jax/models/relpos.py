"""The parts of timm's vision transformer with relative positions that differ from those of others (names as in timm).

Attention adds a bias that an MLP computes from the logarithm of the distance of two patches (Liu et al. 2021, arXiv 2111.09883,
section 3.3), so that images may have any size. The dropout that timm has in training within that MLP is not implemented. All
projections have PyTorch's initialization.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float32

from cliptail_jax.models.attention import States
from cliptail_jax.models.layers import linear
from cliptail_jax.models.timm_blocks import BlockShape
from cliptail_jax.models.timm_layers import Mlp, QkvAttention, relative_index


def log_differences(height: int, width: int) -> Float32[np.ndarray, "differences 2"]:
    """All differences (down, right) of two cells of a grid, by their logarithms: sign(d) ln(1 + |d|)."""
    down, right = np.meshgrid(np.arange(1 - height, height), np.arange(1 - width, width), indexing="ij")
    differences = np.stack([down.ravel(), right.ravel()], 1).astype(np.float32)
    return np.sign(differences) * np.log1p(np.abs(differences))


class Attention(QkvAttention):
    """Attention with a bias for each difference of two patches; the class token, which is the first, has none.

    `inner` is the inner width of the MLP of the biases.
    """

    def __init__(self, shape: BlockShape, inner: int, *, dtype, rngs: nnx.Rngs):
        options = {"layer": linear, "dtype": dtype, "rngs": rngs}
        super().__init__(shape.width, shape.heads, qkv_bias=False, **options)
        self.rel_pos = nnx.Dict(mlp=Mlp(2, inner, shape.heads, activation=jax.nn.relu, **options))

    def __call__(self, x: States, grid: tuple[int, int]) -> States:
        """The outputs for a class token and a grid of rows and columns of patches."""
        bias = self.rel_pos.mlp(log_differences(*grid))[relative_index(*grid)].transpose(2, 0, 1)
        return super().__call__(x, bias=jnp.pad(bias, ((0, 0), (1, 0), (1, 0)))[None])


def mlp(shape: BlockShape, **options) -> Mlp:
    """The MLP of a block."""
    return Mlp(shape.width, shape.inner, shape.width, layer=linear, **options)
