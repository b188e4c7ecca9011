"""DINO's student, and its teacher of the same shape: an image encoder and a head (Caron et al. 2021, arXiv 2104.14294)."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float

from cliptail_jax.models.dino_head import DinoHead
from cliptail_jax.models.image_model import ImageModel


class Dino(ImageModel):
    """`visual` is what is learnt for; `head` serves training alone."""

    def __init__(self, visual: nnx.Module, head: DinoHead):
        self.visual = visual
        self.head = head

    def embed_views(
        self, crops: Sequence[Float[Array, "batch view height width 3"]], mask: Bool[Array, "batch"]
    ) -> Float[Array, "batch views bottleneck"]:
        """Places of all views on the head's sphere, in training: the crops of one size, and then those of the next.

        All crops of a size pass the encoder as one batch, and share its batch statistics.
        """
        features = []
        for of_size in crops:
            batch, views = of_size.shape[:2]
            flat = self.encode_image(of_size.reshape(batch * views, *of_size.shape[2:]), True, jnp.repeat(mask, views))
            features.append(flat.reshape(batch, views, -1))
        joined = jnp.concatenate(features, 1)
        return self.head(joined.reshape(-1, joined.shape[-1])).reshape(*joined.shape[:2], -1)
