"""CLIP: an image encoder, a text encoder and a learned logit scale (Radford et al. 2021, arXiv 2103.00020)."""

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float, Int

from cliptail_jax.models.cosine import INITIAL_LOGIT_SCALE


class CLIP(nnx.Module):
    """Two towers whose features have the same width; `logit_scale` is s, the logits' scale exp(s)."""

    def __init__(self, visual: nnx.Module, text: nnx.Module):
        self.visual = visual
        self.text = text
        self.logit_scale = nnx.Param(jnp.asarray(INITIAL_LOGIT_SCALE, jnp.float32))

    def encode_image(
        self,
        images: Float[Array, "batch height width 3"],
        train: bool = False,
        mask: Bool[Array, "batch"] | None = None,
    ) -> Float[Array, "batch dim"]:
        """Raw, un-normalised image features; `mask` is False for padding examples."""
        return self.visual(images, train, mask)

    def encode_text(self, tokens: Int[Array, "batch context_length"]) -> Float[Array, "batch dim"]:
        """Raw, un-normalised text features."""
        return self.text(tokens)
