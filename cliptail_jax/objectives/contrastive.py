"""CLIP: which caption belongs to which image, and the other way round (Radford et al. 2021, arXiv 2103.00020)."""

import math

from flax import nnx
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Float

from cliptail_jax.models.cosine import limit_logit_scale
from cliptail_jax.objectives.contrastive_loss import contrastive_loss
from cliptail_jax.objectives.image_text import ImageText
from cliptail_jax.training.state import DeviceBatch


class Contrastive(ImageText):
    """Two towers, which learn to find each other's features in a softmax over the batch."""

    @property
    def chance_loss(self) -> float:
        return math.log(self.config.batch_size)

    def loss(
        self, model: nnx.Module, features: dict[str, Array], batch: DeviceBatch, key: Array, mesh: Mesh
    ) -> Float[Array, ""]:
        scale, section = model.logit_scale[...], self.config.contrastive
        pairs = features["image"], features["text"], scale, batch["mask"]
        return contrastive_loss(*pairs, mesh, section.block, section.text_to_image)

    def after_update(self, params: nnx.State) -> nnx.State:
        return limit_logit_scale(params)
