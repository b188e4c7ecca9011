"""CLIP: which caption belongs to which image, and the other way round (Radford et al. 2021, arXiv 2103.00020)."""

from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Bool, Float
from ml_collections import ConfigDict

from cliptail_jax.curation.variant import Variant, distinct_captions
from cliptail_jax.errors import UserError
from cliptail_jax.input.images import normalize
from cliptail_jax.models.build import build_clip
from cliptail_jax.models.cosine import cosine_logits, limit_logit_scale, logit_scale_metric
from cliptail_jax.objectives.objective import Objective
from cliptail_jax.pretrained.run_tokenizer import make_tokenizer, with_vocab_size
from cliptail_jax.pretrained.text_cache import cached_text
from cliptail_jax.pretrained.towers import Towers, open_towers
from cliptail_jax.training.state import TrainState
from cliptail_jax.training.step import Batch


class Contrastive(Objective):
    """An image tower and a text tower, which learn to find each other's features."""

    def __init__(self, config: ConfigDict, variant: Variant):
        if config.vocabulary.size:
            raise UserError(
                "vocabulary.size samples the classes of a supervised run or DINO's prototypes; with "
                "objective='contrastive' set it to 0"
            )
        if variant.captions is None:
            raise UserError("objective='contrastive' needs captions: set data.captions.template or data.captions.words")
        super().__init__(config, variant)

    def open_towers(self) -> Towers:
        return open_towers(self.config)

    def open_text(self, workdir: Path) -> None:
        """The tokenizer reads captions, or the cached outputs of a frozen text tower stand in for it."""
        config, tower, variant = self.config, self.towers.text, self.variant
        tokenizer = make_tokenizer(
            lambda: variant.captions(range(len(variant)), epoch=0), config, self.towers, workdir / "tokenizer.json"
        )
        self.config = with_vocab_size(config, tokenizer)
        self.read = self.read_prompts = tokenizer
        if self._can_cache():
            dtype = config.model.dtype
            self.read = cached_text(tower, dtype, distinct_captions(variant))
            self.read_prompts = lambda prompts: cached_text(tower, dtype, list(dict.fromkeys(prompts)))(prompts)

    def _can_cache(self) -> bool:
        """Whether the text tower's pooled outputs for the captions are the same in each epoch."""
        text, tower = self.config.text, self.towers.text
        unchanged = text.freeze and not text.dropout and not self.config.data.captions.resample
        return tower is not None and text.cache and unchanged and tower.has_published_states()

    @property
    def frozen(self) -> tuple[str, ...]:
        return (*super().frozen, *(["text"] if self.config.text.freeze else []))

    def build_model(self, rngs: nnx.Rngs) -> nnx.Module:
        image, text = self.towers.image, self.towers.text
        return build_clip(self.config, rngs, image and image.build, text and text.build)

    def encode(self, model: nnx.Module, batch: Batch, key: Array) -> dict[str, Array]:
        return {
            "image": model.encode_image(normalize(batch["images"]), train=True, mask=batch["mask"]),
            "text": model.encode_text(batch["text"], key if self.config.text.dropout else None),
        }

    def loss(self, model: nnx.Module, features: dict[str, Array], batch: Batch, key: Array) -> Float[Array, ""]:
        logits = cosine_logits(features["image"], features["text"], model.logit_scale[...])
        return contrastive_loss(logits, batch["mask"])

    def after_update(self, state: TrainState, params: nnx.State, opt_state):
        return limit_logit_scale(params), opt_state

    def metrics(self, state: TrainState) -> dict[str, Array]:
        return logit_scale_metric(state.trainable)


def contrastive_loss(
    logits: Float[Array, "image text"],
    mask: Bool[Array, "batch"],
) -> Float[Array, ""]:
    """Symmetric cross-entropy of the scaled cosines of all images with all texts, in nats.

    Image i belongs to text i. Masked pairs are neither examples nor negatives.
    """
    own = jnp.diagonal(logits)

    def one_way(rows: Float[Array, "batch batch"]) -> Float[Array, ""]:
        log_partition = jax.nn.logsumexp(jnp.where(mask[None, :], rows, -jnp.inf), axis=-1)
        return jnp.where(mask, log_partition - own, 0.0).sum() / jnp.maximum(mask.sum(), 1)

    return (one_way(logits) + one_way(logits.T)) / 2
