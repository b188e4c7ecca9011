"""CLIP: matches images and captions in both directions (Radford et al. 2021, arXiv 2103.00020)."""

import functools
import math
from dataclasses import dataclass
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Bool, Float, Int, Shaped

from cliptail_jax.config.fields import OneOf
from cliptail_jax.input.composition import composition_of
from cliptail_jax.metrics.effective_prior import UnknownPriorError, batch_log_prior
from cliptail_jax.models.cosine import cosines, limit_logit_scale
from cliptail_jax.objectives.image_text import PairOptions, TwoTowerConfig, TwoTowers
from cliptail_jax.objectives.pairs import loss_of_pairs, over_blocks
from cliptail_jax.training.state import DeviceBatch

MASKED = -1e9  # a logit whose exp is 0; -inf would have no gradient
COUNTED, ONCE, DROPPED = "counted", "once", "dropped"  # repeated texts


@dataclass(frozen=True)
class ContrastiveOptions(PairOptions):
    text_to_image: Annotated[
        bool, "Whether CLIP's loss also predicts the image of each text, and not only the text of each image."
    ] = True
    repeated_texts: Annotated[
        str,
        "Texts that occur several times in a batch: all are compared ('counted', as in CLIP); or each image is compared with "
        "every text once ('once'); or a pair is compared with no other pair that has its text ('dropped').",
        OneOf(COUNTED, ONCE, DROPPED),
    ] = COUNTED


@dataclass(frozen=True)
class ContrastiveConfig(TwoTowerConfig):
    contrastive: ContrastiveOptions = ContrastiveOptions()


class Contrastive(TwoTowers):
    """Two towers that learn to identify each other's features in a softmax over the batch."""

    Config = ContrastiveConfig
    config: ContrastiveConfig

    @classmethod
    def effective_log_prior(
        cls, config: ContrastiveConfig, frequency: Int[np.ndarray, " class"]
    ) -> Float[np.ndarray, " class"]:
        """0 like all losses of two towers; that of a softmax over the batch's classes if each text, a class name, counts once."""
        psi, section, captions = (
            super().effective_log_prior(config, frequency),
            config.contrastive,
            config.data.captions,
        )
        if section.repeated_texts == COUNTED:
            return psi
        if section.repeated_texts == DROPPED:
            raise UnknownPriorError(
                f"with contrastive.repeated_texts='{DROPPED}', no logits minimize the loss in all batches: it has no effective "
                "log-prior"
            )
        if captions.template != "cname" or captions.words or captions.synset or composition_of(config.data):
            raise UnknownPriorError(
                f"with contrastive.repeated_texts='{ONCE}', the effective log-prior is known for class names as captions, in "
                "shuffled batches"
            )
        return batch_log_prior(frequency, config.batch_size)

    @property
    def chance_loss(self) -> float:
        return math.log(self.config.batch_size)

    def loss(
        self, model: nnx.Module, features: dict[str, Array], batch: DeviceBatch, key: Array, mesh: Mesh
    ) -> Float[Array, ""]:
        scale, section = model.logit_scale[...], self.config.contrastive
        pairs = features["image"], features["text"], scale, batch["mask"]
        ids = None if section.repeated_texts == COUNTED else first_equal(batch["text"], batch["mask"])
        return contrastive_loss(*pairs, mesh, section.block, section.text_to_image, ids, section.repeated_texts)

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
    ids: Int[Array, " batch"] | None = None,
    repeated_texts: str = COUNTED,
) -> Float[Array, ""]:
    """Symmetric cross-entropy of the scaled cosines, exp(s) · cos, of all images with all texts, in nats.

    Image i matches text i. Without `text_to_image`, the loss is only that of texts given an image. Masked pairs are
    neither examples nor negatives. Each device gathers all texts and computes the logits of its own images, `block`
    columns at a time (0: 2^25 logits), and again in the backward pass, so that its memory is O(batch / devices ·
    block).

    Pairs with the same text have the same id, the index of the first of them (`first_equal`). With `repeated_texts` 'once',
    only the first one's text is compared with images; with 'dropped', a pair is not compared with others of its id. By
    default, ids have no effect.
    """
    scale, extras = jnp.exp(logit_scale.astype(jnp.float32)), ()
    if repeated_texts != COUNTED:
        extras = (ids == jnp.arange(len(ids)) if repeated_texts == ONCE else ids,)
    loss_of_rows = functools.partial(_loss_of_rows, text_to_image=text_to_image, repeated_texts=repeated_texts)
    return loss_of_pairs(loss_of_rows, images, texts, (scale,), mask, mesh, block, extras)


def first_equal(texts: Shaped[Array, "batch length"], mask: Bool[Array, " batch"]) -> Int[Array, " batch"]:
    """For each text, the index of the first unmasked text that equals it; for a masked one, of any that does."""
    _, groups = jnp.unique(texts, axis=0, size=len(texts), return_inverse=True)
    places = jnp.arange(len(texts))
    first = jax.ops.segment_min(jnp.where(mask, places, len(texts)), groups.reshape(-1), len(texts))
    return first[groups.reshape(-1)]


def _loss_of_rows(
    images: Float[Array, "rows dim"],
    texts: Float[Array, "rows dim"],
    mask: Bool[Array, " rows"],
    extras: tuple[Shaped[Array, " rows"], ...],
    columns: tuple[Shaped[Array, "batch ..."], ...],
    scale: Float[Array, ""],
    *,
    axes: tuple[str, ...],
    block: int,
    text_to_image: bool,
    repeated_texts: str,
) -> Float[Array, " rows"]:
    own_logits, rows = scale * (images * texts).sum(-1), len(images)

    def add_block(row_sums: Float[Array, " rows"], columns):
        """Log-sums of the rows up to and including a block, and of the block's columns over this device's rows."""
        texts, valid, *column_extras = columns
        logits, valid_rows = scale * cosines(images, texts), mask[:, None]
        if repeated_texts == ONCE:
            valid &= column_extras[0]
        elif repeated_texts == DROPPED:
            is_other = extras[0][:, None] != column_extras[0]
            valid, valid_rows = valid & is_other, valid_rows & is_other
        block_sums = jax.nn.logsumexp(jnp.where(valid, logits, MASKED), axis=1)
        column_sums = jax.nn.logsumexp(jnp.where(valid_rows, logits, MASKED), axis=0) if text_to_image else None
        return jnp.logaddexp(row_sums, block_sums), column_sums

    initial_sums = jax.lax.pcast(jnp.full(rows, MASKED), axes, to="varying")
    row_sums, column_sums = over_blocks(add_block, initial_sums, columns, rows, block)
    if repeated_texts == DROPPED:
        row_sums = jnp.logaddexp(row_sums, own_logits)
    if not text_to_image:
        return row_sums - own_logits
    column_sums = _log_sum_over_devices(column_sums, axes)
    if repeated_texts == DROPPED:
        column_sums = jnp.logaddexp(column_sums, own_logits)
    return (row_sums + column_sums) / 2 - own_logits


def _log_sum_over_devices(logs: Float[Array, " batch"], axes: tuple[str, ...]) -> Float[Array, " rows"]:
    """log Σ exp over all devices, of this device's rows."""
    largest = jax.lax.pmax(jax.lax.stop_gradient(logs), axes)
    sums = jax.lax.psum_scatter(jnp.exp(logs - largest), axes, tiled=True)
    return jnp.log(sums) + jax.lax.dynamic_slice_in_dim(largest, jax.lax.axis_index(axes) * len(sums), len(sums))
