"""DINO's head: a perceptron onto the unit sphere, and prototypes on it (Caron et al. 2021, arXiv 2104.14294)."""

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float, Int

from cliptail_jax.models.cosine import cosine_logits, normalize
from cliptail_jax.models.initializers import normal
from cliptail_jax.models.layers import linear
from cliptail_jax.models.transformer import ACTIVATIONS

# DINO draws by PyTorch's trunc_normal_, whose default bounds are ±2 as such, not ±2 standard deviations: at this
# deviation they are a hundred of them away and cut nothing, so that the draw is a plain normal one.
KERNEL_STD = 0.02


class DinoHead(nnx.Module):
    """A 3-layer perceptron from features to a bottleneck of unit length, and `prototypes` unit vectors in that space.

    The rows of the parameter `prototypes` are drawn with standard deviation prototypes^-0.5; whatever their length,
    they are used at unit length.
    """

    def __init__(
        self,
        input_dim: int,
        *,
        hidden: int = 2048,
        bottleneck: int = 256,
        prototypes: int = 65536,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        widths = (input_dim, hidden, hidden, bottleneck)
        options = {"kernel_init": normal(KERNEL_STD), "bias_init": nnx.initializers.zeros_init()}
        self.mlp = nnx.List(
            [linear(widths[i], widths[i + 1], dtype=dtype, rngs=rngs, **options) for i in range(len(widths) - 1)]
        )
        self.prototypes = nnx.Param(normal(prototypes**-0.5)(rngs.params(), (prototypes, bottleneck)))

    def __call__(self, x: Float[Array, "batch input_dim"]) -> Float[Array, "batch bottleneck"]:
        """The features' place on the unit sphere, in float32."""
        first, second, last = self.mlp
        gelu = ACTIVATIONS["gelu"]
        return normalize(last(gelu(second(gelu(first(x))))))

    def logits(
        self, z: Float[Array, "batch bottleneck"], rows: Int[Array, "sampled"] | None = None
    ) -> Float[Array, "batch sampled"]:
        """Cosines of `z` with the prototypes in `rows` (None: with all), in float32.

        Only those rows are read, normalised and multiplied; the gradient of all others is zero.
        """
        prototypes = self.prototypes[...] if rows is None else self.prototypes[...][rows]
        return cosine_logits(z, prototypes, logit_scale=jnp.zeros(()))
