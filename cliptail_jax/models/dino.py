"""The model of DINO's student and teacher: an image tower and a head (Caron et al. 2021, arXiv 2104.14294)."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Bool, Float, Int

from cliptail_jax.models.cosine import cosines, normalize
from cliptail_jax.models.image_model import ImageModel
from cliptail_jax.models.layers import normal_linear
from cliptail_jax.models.transformer import ACTIVATIONS


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
        self.mlp = nnx.List(normal_linear(*sizes, dtype=dtype, rngs=rngs) for sizes in zip(widths, widths[1:]))
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
        return cosines(normalize(z), normalize(prototypes))


class Dino(ImageModel):
    """`visual` is the image tower that is to be learned; `head` is used in training only."""

    def __init__(self, visual: nnx.Module, head: DinoHead):
        self.visual = visual
        self.head = head

    def embed_views(
        self, crops: Sequence[Float[Array, "batch _ _ _ 3"]], mask: Bool[Array, " batch"]
    ) -> Float[Array, "batch views bottleneck"]:
        """The head's outputs for all views in training: first the crops of the first size, then those of the next.

        All crops of one size pass through the tower as one batch and share batch statistics.
        """
        features = []
        for crop in crops:
            batch, views = crop.shape[:2]
            flat = self.encode_image(crop.reshape(batch * views, *crop.shape[2:]), True, jnp.repeat(mask, views))
            features.append(flat.reshape(batch, views, -1))
        features = jnp.concatenate(features, 1)
        return self.head(features.reshape(-1, features.shape[-1])).reshape(*features.shape[:2], -1)
