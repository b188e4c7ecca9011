"""CLIP with smoothed labels: a module as "How to add" in tests/README.md describes it, for an objective with a section of its own."""

from dataclasses import dataclass
from typing import Annotated

import jax.numpy as jnp
import optax

from cliptail_jax.config.fields import BelowOne, Section
from cliptail_jax.models.cosine import cosine_logits
from cliptail_jax.objectives.contrastive import Contrastive, ContrastiveConfig


@dataclass(frozen=True)
class Smoothing(Section):
    share: Annotated[float, "Share of a target that all pairs of the batch divide equally.", BelowOne] = 0.0


@dataclass(frozen=True)
class SmoothedConfig(ContrastiveConfig):
    smoothing: Smoothing = Smoothing()


class Smoothed(Contrastive):
    Config = SmoothedConfig
    config: SmoothedConfig

    def loss(self, model, features, batch, key, mesh):
        logits = cosine_logits(features["image"], features["text"], model.logit_scale[...])
        targets = optax.smooth_labels(jnp.eye(len(logits)), self.config.smoothing.share)
        return sum(optax.softmax_cross_entropy(rows, targets).mean() for rows in (logits, logits.T)) / 2
