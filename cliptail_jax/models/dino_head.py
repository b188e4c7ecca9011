"""DINO's head: an MLP with outputs of unit length, and prototypes (Caron et al. 2021, arXiv 2104.14294)."""

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Float, Int

from cliptail_jax.models.cosine import cosine_logits, normalize
from cliptail_jax.models.layers import linear
from cliptail_jax.models.transformer import ACTIVATIONS

# DINO uses PyTorch's trunc_normal_, whose default bounds are the values ±2, not ±2 standard deviations: at this standard
# deviation they truncate nothing, and the distribution is normal.
KERNEL_STD = 0.02


class DinoHead(nnx.Module):
    """An MLP of three layers from features to a bottleneck of unit length, and prototypes in that space.

    The parameter `prototypes` is initialized with standard deviation prototypes^-0.5; its rows are normalized to unit
    length where they are used.
    """

    def __init__(
        self,
        input_dim: int,
        *,
        hidden: int,
        bottleneck: int,
        prototypes: int,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        widths = (input_dim, hidden, hidden, bottleneck)
        options = {"kernel_init": normal(KERNEL_STD), "bias_init": nnx.initializers.zeros_init()}
        layers = zip(widths, widths[1:])
        self.mlp = nnx.List(linear(*sizes, dtype=dtype, rngs=rngs, **options) for sizes in layers)
        self.prototypes = nnx.Param(normal(prototypes**-0.5)(rngs.params(), (prototypes, bottleneck)))

    def __call__(self, x: Float[Array, "batch input_dim"]) -> Float[Array, "batch bottleneck"]:
        """The MLP's output, normalized to unit length, in float32."""
        first, second, last = self.mlp
        gelu = ACTIVATIONS["gelu"]
        return normalize(last(gelu(second(gelu(first(x))))))

    def logits(
        self, z: Float[Array, "batch bottleneck"], rows: Int[Array, " sampled"] | None = None
    ) -> Float[Array, "batch sampled"]:
        """Cosine similarities of `z` to the prototypes in `rows` (None: to all), in float32.

        Only those rows are read, normalized and multiplied; the gradient of all others is zero.
        """
        prototypes = self.prototypes[...] if rows is None else self.prototypes[...][rows]
        return cosine_logits(z, prototypes, logit_scale=jnp.zeros(()))
