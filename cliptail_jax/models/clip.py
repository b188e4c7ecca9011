"""CLIP: an image tower, a text tower and a learned logit scale (Radford et al. 2021, arXiv 2103.00020).

With a learned logit bias, too, it is SigLIP (Zhai et al. 2023, arXiv 2303.15343).
"""

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from cliptail_jax.models.cosine import INITIAL_LOGIT_SCALE
from cliptail_jax.models.image_model import ImageModel
from cliptail_jax.models.layers import Tokens


class CLIP(ImageModel):
    """Two towers whose features have the same width. Logits are cosine similarities multiplied by exp(`logit_scale`).

    A SigLIP adds `logit_bias` to them. `logit_scale` and `logit_bias` are initial values.
    """

    def __init__(
        self,
        visual: nnx.Module,
        text: nnx.Module,
        logit_scale: float = INITIAL_LOGIT_SCALE,
        logit_bias: float | None = None,
    ):
        self.visual = visual
        self.text = text
        self.logit_scale = nnx.Param(jnp.asarray(logit_scale, jnp.float32))
        if logit_bias is not None:
            self.logit_bias = nnx.Param(jnp.asarray(logit_bias, jnp.float32))

    def encode_text(
        self, text: Tokens | Float[Array, "batch width"], dropout_key: Array | None = None
    ) -> Float[Array, "batch dim"]:
        """Unnormalized text features of tokens, or of the pooled states that the tower's `state` computes from them.

        `dropout_key` enables the tower's dropout, if it has any.
        """
        if jnp.issubdtype(text.dtype, jnp.floating):
            return self.text.project(text)
        return self.text(text) if dropout_key is None else self.text(text, dropout_key)
