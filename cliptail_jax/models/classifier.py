"""The supervised classifier: an image tower and a head, whose logits are scaled cosine similarities or linear."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float

from cliptail_jax.models.cosine import INITIAL_LOGIT_SCALE, cosine_logits
from cliptail_jax.models.image_model import ImageModel


class Classifier(ImageModel):
    """An image tower and one class embedding in each row of `head`.

    Without `bias`, logits are cosine similarities multiplied by exp(`logit_scale`). With it, there is no `logit_scale`,
    and logits are linear in the unnormalized features.
    """

    def __init__(
        self,
        visual: nnx.Module,
        head: Float[Array | np.ndarray, "classes dim"],
        bias: Float[Array, " classes"] | None = None,
    ):
        self.visual = visual
        self.head = nnx.Param(jnp.asarray(head, jnp.float32))
        if bias is None:
            self.logit_scale = nnx.Param(jnp.asarray(INITIAL_LOGIT_SCALE, jnp.float32))
        else:
            self.bias = nnx.Param(jnp.asarray(bias, jnp.float32))

    def logits(self, features: Float[Array, "batch dim"]) -> Float[Array, "batch classes"]:
        """The logits of unnormalized features, in float32."""
        if hasattr(self, "bias"):
            return linear_logits(features, self.head[...], self.bias[...])
        return cosine_logits(features, self.head[...], self.logit_scale[...])


def linear_logits(
    features: Float[Array, "batch dim"], weights: Float[Array, "classes dim"], bias: Float[Array, " classes"]
) -> Float[Array, "batch classes"]:
    """W x + b, in float32 on every device."""
    return jnp.matmul(features.astype(jnp.float32), weights.T, precision=jax.lax.Precision.HIGHEST) + bias
