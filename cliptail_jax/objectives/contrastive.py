"""CLIP: matches images and captions in both directions (Radford et al. 2021, arXiv 2103.00020)."""

import functools
import math
from dataclasses import dataclass
from typing import Annotated

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Bool, Float

from cliptail_jax.models.cosine import cosines, limit_logit_scale
from cliptail_jax.objectives.image_text import PairOptions, TwoTowerConfig, TwoTowers
from cliptail_jax.objectives.pairs import loss_of_pairs, over_blocks
from cliptail_jax.training.state import DeviceBatch

MASKED = -1e9  # a logit whose exp is 0; -inf would have no gradient


@dataclass(frozen=True)
class ContrastiveOptions(PairOptions):
    text_to_image: Annotated[
        bool, "Whether CLIP's loss also predicts the image of each text, and not only the text of each image."
    ] = True


@dataclass(frozen=True)
class ContrastiveConfig(TwoTowerConfig):
    contrastive: ContrastiveOptions = ContrastiveOptions()


class Contrastive(TwoTowers):
    """Two towers that learn to identify each other's features in a softmax over the batch."""

    Config = ContrastiveConfig
    config: ContrastiveConfig

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


def contrastive_loss(
    images: Float[Array, "batch dim"],
    texts: Float[Array, "batch dim"],
    logit_scale: Float[Array, ""],
    mask: Bool[Array, " batch"],
    mesh: Mesh,
    block: int = 0,
    text_to_image: bool = True,
) -> Float[Array, ""]:
    """Symmetric cross-entropy of the scaled cosines, exp(s) · cos, of all images with all texts, in nats.

    Image i matches text i. Without `text_to_image`, the loss is only that of texts given an image. Masked pairs are
    neither examples nor negatives. Each device gathers all texts and computes the logits of its own images, `block`
    columns at a time (0: 2^25 logits), and again in the backward pass, so that its memory is O(batch / devices ·
    block).
    """
    scale = jnp.exp(logit_scale.astype(jnp.float32))
    loss_of_rows = functools.partial(_loss_of_rows, text_to_image=text_to_image)
    return loss_of_pairs(loss_of_rows, images, texts, (scale,), mask, mesh, block)


def _loss_of_rows(
    images: Float[Array, "rows dim"],
    texts: Float[Array, "rows dim"],
    mask: Bool[Array, " rows"],
    columns: tuple[Float[Array, "batch dim"], Bool[Array, " batch"]],
    scale: Float[Array, ""],
    *,
    axes: tuple[str, ...],
    block: int,
    text_to_image: bool,
) -> Float[Array, " rows"]:
    own_logits, rows = scale * (images * texts).sum(-1), len(images)

    def add_block(row_sums: Float[Array, " rows"], columns):
        """Log-sums of the rows up to and including a block, and of the block's columns over this device's rows."""
        texts, valid = columns
        logits = scale * cosines(images, texts)
        block_sums = jax.nn.logsumexp(jnp.where(valid, logits, MASKED), axis=1)
        column_sums = jax.nn.logsumexp(jnp.where(mask[:, None], logits, MASKED), axis=0) if text_to_image else None
        return jnp.logaddexp(row_sums, block_sums), column_sums

    initial_sums = jax.lax.pcast(jnp.full(rows, MASKED), axes, to="varying")
    row_sums, column_sums = over_blocks(add_block, initial_sums, columns, rows, block)
    if not text_to_image:
        return row_sums - own_logits
    return (row_sums + _log_sum_over_devices(column_sums, axes)) / 2 - own_logits


def _log_sum_over_devices(logs: Float[Array, " batch"], axes: tuple[str, ...]) -> Float[Array, " rows"]:
    """log Σ exp over all devices, of this device's rows."""
    largest = jax.lax.pmax(jax.lax.stop_gradient(logs), axes)
    sums = jax.lax.psum_scatter(jnp.exp(logs - largest), axes, tiled=True)
    return jnp.log(sums) + jax.lax.dynamic_slice_in_dim(largest, jax.lax.axis_index(axes) * len(sums), len(sums))
