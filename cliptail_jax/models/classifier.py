"""The supervised classifier: an image encoder and a head matrix without bias, compared by scaled cosine."""

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float

from cliptail_jax.models.cosine import INITIAL_LOGIT_SCALE


class Classifier(nnx.Module):
    """An encoder and one class embedding per row of `head`; `logit_scale` is s, the logits' scale exp(s)."""

    def __init__(self, visual: nnx.Module, head: Float[Array, "classes dim"]):
        self.visual = visual
        self.head = nnx.Param(jnp.asarray(head, jnp.float32))
        self.logit_scale = nnx.Param(jnp.asarray(INITIAL_LOGIT_SCALE, jnp.float32))

    def encode_image(
        self,
        images: Float[Array, "batch height width 3"],
        train: bool = False,
        mask: Bool[Array, "batch"] | None = None,
    ) -> Float[Array, "batch dim"]:
        """Raw, un-normalised image features; `mask` is False for padding examples."""
        return self.visual(images, train, mask)
