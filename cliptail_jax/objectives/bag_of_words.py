"""SuperClass: the words of a caption as labels of its image, without contrast (Huang et al. 2024, arXiv 2411.03313)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.sharding import Mesh
from jaxtyping import Bool, Float, Float32, Int

from cliptail_jax.config.fields import OneOf, Section
from cliptail_jax.curation.variant import Variant, caption_chunks
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.bag_of_words import FILE, BagOfWords, count_subwords, count_words
from cliptail_jax.metrics.effective_prior import UnknownPriorError
from cliptail_jax.pretrained.towers import Towers
from cliptail_jax.training.configuration import Training
from cliptail_jax.training.objective import Objective, TextInput
from cliptail_jax.training.state import DeviceBatch

COUNT = {"subwords": count_subwords, "words": count_words}


@dataclass(frozen=True)
class WordOptions(Section):
    """The words of captions, which are the labels with objective='bag_of_words'."""

    vocabulary: Annotated[
        str,
        "'subwords' of a tokenizer that is trained on the captions, or whole 'words', the most frequent ones; "
        "model.text.vocab_size of them.",
        OneOf(*COUNT),
    ] = "subwords"
    idf: Annotated[
        bool, "Whether a word weighs log(captions / captions that have it); without it, all weigh the same."
    ] = True


@dataclass(frozen=True)
class WordConfig(Training):
    words: WordOptions = WordOptions()


class WordClassifier(Objective):
    """A linear classifier that predicts the words of an image's caption."""

    Config = WordConfig
    config: WordConfig
    uses_prompts = True

    @classmethod
    def effective_log_prior(
        cls, config: WordConfig, frequency: Int[np.ndarray, " class"]
    ) -> Float[np.ndarray, " class"]:
        raise UnknownPriorError(
            "objective='bag_of_words' has no effective log-prior: it learns words, of which captions have several, in place of classes"
        )

    @classmethod
    def open_text(cls, config: WordConfig, variant: Variant, towers: Towers, workdir: Path | None) -> TextInput:
        """The counts of words in the first epoch's captions, from an earlier session if there was one."""
        if workdir is not None and (workdir / FILE).exists():
            bag = BagOfWords.load(workdir)
        else:
            section, text = config.words, config.model.text
            count = COUNT[section.vocabulary]
            bag = count(caption_chunks(variant), text.vocab_size, section.idf, text.context_length)
        if not bag.weights.any():
            raise UserError(
                f"all {bag.captions:,} captions have the same words, which cannot distinguish images: use other captions, or "
                "set words.idf=False"
            )
        return TextInput(bag, bag, len(bag.weights), save=bag.save)

    @property
    def _weights(self) -> Float32[np.ndarray, " words"]:
        """The weight of each word; 1 for those of a run without text input, as many as the config has."""
        bag = self.text.read_captions
        return np.ones(self.config.model.text.vocab_size, np.float32) if bag is None else bag.weights

    def describe_model(self) -> dict[str, Any]:
        dim = self.config.model.image.output_dim
        head = {"kind": "words", "classes": len(self._weights)}
        return {"model_cfg": {"embed_dim": dim, **self.describe_image_tower()}, "head": head}

    def loss(
        self, model: nnx.Module, features: dict[str, Array], batch: DeviceBatch, key: Array, mesh: Mesh
    ) -> Float[Array, ""]:
        return bag_of_words_loss(model.logits(features["image"]), batch["text"], self._weights, batch["mask"])


def bag_of_words_loss(
    logits: Float[Array, "batch words"],
    words: Int[Array, "batch max_words"],
    weights: Float[Array | np.ndarray, " words"],
    mask: Bool[Array, " batch"],
) -> Float[Array, ""]:
    """Mean of −Σ_c ŷ_c log softmax(logits)_c, where ŷ_c = w_c y_c / Σ w y and y_c is 1 if c is in `words`, in nats.

    `words` has the ids of an example's distinct words, then -1. The mean is over the unmasked examples that have a word of
    positive weight.
    """
    word_weights = jnp.where(words >= 0, jnp.asarray(weights)[words], 0.0)
    sums = word_weights.sum(-1)
    valid = mask & (sums > 0)
    targets = word_weights / jnp.where(valid, sums, 1.0)[:, None]
    word_logits = jnp.take_along_axis(logits, jnp.maximum(words, 0), axis=-1)
    losses = jax.nn.logsumexp(logits, axis=-1) - (targets * word_logits).sum(-1)
    return jnp.where(valid, losses, 0.0).sum() / jnp.maximum(valid.sum(), 1)
