"""SigLIP: predicts for each pair independently whether caption and image match (Zhai et al. 2023, arXiv 2303.15343)."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Bool, Float

from cliptail_jax.models.cosine import cosines
from cliptail_jax.objectives.image_text import TwoTowers
from cliptail_jax.objectives.pairs import loss_of_pairs, over_blocks
from cliptail_jax.training.state import DeviceBatch, TrainState

INITIAL_LOGIT_SCALE, INITIAL_LOGIT_BIAS = math.log(10), -10.0  # the paper's t' and b


class Sigmoid(TwoTowers):
    """Two towers that learn to classify pairs as matching, with a learned threshold.

    As in the paper, and unlike in CLIP, the logit scale has no limits.
    """

    has_logit_bias = True

    @property
    def chance_loss(self) -> float:
        """B times the entropy of 1/B, the share of matching pairs: the loss with the best possible bias."""
        batch = self.config.batch_size
        return math.log(batch) + (batch - 1) * math.log(batch / (batch - 1))

    def describe_model(self) -> dict[str, Any]:
        description = super().describe_model()
        initial = {"init_logit_scale": INITIAL_LOGIT_SCALE, "init_logit_bias": INITIAL_LOGIT_BIAS}
        return description | {"model_cfg": description["model_cfg"] | initial}

    def loss(
        self, model: nnx.Module, features: dict[str, Array], batch: DeviceBatch, key: Array, mesh: Mesh
    ) -> Float[Array, ""]:
        scale, bias, block = model.logit_scale[...], model.logit_bias[...], self.config.contrastive.block
        return sigmoid_loss(features["image"], features["text"], scale, bias, batch["mask"], mesh, block)

    def metrics(self, state: TrainState) -> dict[str, Array]:
        params = state.trainable
        bias = {"train/logit_bias": params["logit_bias"][...]} if "logit_bias" in params else {}
        return super().metrics(state) | bias


def sigmoid_loss(
    images: Float[Array, "batch dim"],
    texts: Float[Array, "batch dim"],
    logit_scale: Float[Array, ""],
    logit_bias: Float[Array, ""],
    mask: Bool[Array, " batch"],
    mesh: Mesh,
    block: int = 0,
) -> Float[Array, ""]:
    """−(1/B) Σ_ij log σ(z_ij (t cos_ij + b)) over all images i and texts j, in nats; t = exp(`logit_scale`), b = `logit_bias`.

    z is 1 for an image with its own text, i = j, and −1 for all other pairs. Each pair is classified independently,
    without a softmax over the batch. Masked pairs are neither examples nor negatives, and B does not count them. Blocks
    and memory are as for `contrastive_loss`.
    """
    scale, bias = jnp.exp(logit_scale.astype(jnp.float32)), logit_bias.astype(jnp.float32)
    return loss_of_pairs(_loss_of_rows, images, texts, (scale, bias), mask, mesh, block)


def _loss_of_rows(
    images: Float[Array, "rows dim"],
    texts: Float[Array, "rows dim"],
    mask: Bool[Array, " rows"],
    extras: tuple[()],
    columns: tuple[Float[Array, "batch dim"], Bool[Array, " batch"]],
    scale: Float[Array, ""],
    bias: Float[Array, ""],
    *,
    axes: tuple[str, ...],
    block: int,
) -> Float[Array, " rows"]:
    """Σ_j softplus(l_ij) − l_ii, since −log σ(−l) = softplus(l) and −log σ(l) = softplus(l) − l."""
    own_logits, rows = scale * (images * texts).sum(-1) + bias, len(images)

    def add_block(sums: Float[Array, " rows"], columns):
        texts, valid = columns
        logits = scale * cosines(images, texts) + bias
        return sums + jnp.where(valid, jax.nn.softplus(logits), 0.0).sum(1), None

    sums, _ = over_blocks(add_block, jax.lax.pcast(jnp.zeros(rows), axes, to="varying"), columns, rows, block)
    return sums - own_logits
