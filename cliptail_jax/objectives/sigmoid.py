"""SigLIP: whether a caption belongs to an image, asked of each pair alone (Zhai et al. 2023, arXiv 2303.15343)."""

import math
from typing import Any

from flax import nnx
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Float
from ml_collections import ConfigDict

from cliptail_jax.errors import UserError
from cliptail_jax.objectives.image_text import ImageText
from cliptail_jax.objectives.sigmoid_loss import sigmoid_loss
from cliptail_jax.training.state import DeviceBatch, TrainState

INITIAL_LOGIT_SCALE, INITIAL_LOGIT_BIAS = math.log(10), -10.0  # the paper's t' and b


class Sigmoid(ImageText):
    """Two towers, which learn to tell own pairs from others, by a threshold that they learn, too.

    As in the paper, and other than in CLIP, the logit scale has no limits.
    """

    has_logit_bias = True

    @classmethod
    def validate(cls, config: ConfigDict) -> None:
        super().validate(config)
        if not config.contrastive.text_to_image:
            raise UserError(
                "contrastive.text_to_image=False leaves out a softmax, which objective='sigmoid' does not have: set it to True"
            )

    @property
    def chance_loss(self) -> float:
        """B times the entropy of 1/B, the share of own pairs: with the best bias that there is."""
        batch = self.config.batch_size
        return math.log(batch) + (batch - 1) * math.log(batch / (batch - 1))

    def describe_model(self) -> dict[str, Any]:
        described = super().describe_model()
        initial = {"init_logit_scale": INITIAL_LOGIT_SCALE, "init_logit_bias": INITIAL_LOGIT_BIAS}
        return described | {"model_cfg": described["model_cfg"] | initial}

    def loss(
        self, model: nnx.Module, features: dict[str, Array], batch: DeviceBatch, key: Array, mesh: Mesh
    ) -> Float[Array, ""]:
        scale, bias, block = model.logit_scale[...], model.logit_bias[...], self.config.contrastive.block
        return sigmoid_loss(features["image"], features["text"], scale, bias, batch["mask"], mesh, block)

    def metrics(self, state: TrainState) -> dict[str, Array]:
        params = state.trainable
        bias = {"train/logit_bias": params["logit_bias"][...]} if "logit_bias" in params else {}
        return super().metrics(state) | bias
