"""The model of DINO's student and teacher: an image tower and a head (Caron et al. 2021, arXiv 2104.14294)."""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float

from cliptail_jax.models.dino_head import DinoHead
from cliptail_jax.models.image_model import ImageModel


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
        joined = jnp.concatenate(features, 1)
        return self.head(joined.reshape(-1, joined.shape[-1])).reshape(*joined.shape[:2], -1)
