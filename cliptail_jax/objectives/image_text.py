"""The common part of the objectives that train an image tower and a text tower on pairs: everything but the loss."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float, Int, Int32

from cliptail_jax.config.fields import BelowOne, Incidental, NonNegative, Section
from cliptail_jax.config.sections import Freeze, Partial
from cliptail_jax.curation.variant import Variant, caption_chunks, caption_tokenizer, distinct_captions
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.tokenizer import Tokenizer
from cliptail_jax.metrics.effective_prior import UnknownPriorError
from cliptail_jax.models.text_towers import build_text_tower, describe_text_tower
from cliptail_jax.pretrained.source import TOKENIZER
from cliptail_jax.pretrained.text_cache import cached_text
from cliptail_jax.pretrained.tokenizers import read_tokenizer, takes_trained
from cliptail_jax.pretrained.tower_shapes import text_tower_shapes
from cliptail_jax.pretrained.towers import Towers, open_text_tower
from cliptail_jax.training.configuration import Training
from cliptail_jax.training.objective import RANDOM, Objective, TextInput
from cliptail_jax.training.state import DeviceBatch

TOKENIZER_FILE = "tokenizer.json"
TILE = 16  # a TPU stores, and computes with, this number of bfloat16 tokens together
CAPTIONS_AT_ONCE = 1024  # captions
Tokenize = Callable[[Sequence[str]], Int32[np.ndarray, "batch context"]]


@dataclass(frozen=True)
class Text(Section):
    """The text tower of a run that has one."""

    init: Annotated[str, "'random', or a published CLIP (its text tower), BERT or RoBERTa."] = "random"
    freeze: Freeze = False
    partial: Partial = False
    dropout: Annotated[
        float,
        "Dropout of a BERT or RoBERTa during training, even if it is frozen; they were trained with 0.1.",
        BelowOne,
    ] = 0.0
    cache: Annotated[
        bool,
        "Whether to embed each caption once instead of at every step, if a frozen tower's captions do not change.",
        Incidental,
    ] = True
    tokenizer: Annotated[
        str,
        "File of CLIP's merges, or the tokenizer.json of the text tower; '': train a tokenizer of model.text.vocab_size tokens "
        "on the variant's captions.",
    ] = ""


@dataclass(frozen=True)
class PairOptions(Section):
    """The comparison of images and texts in the loss. Its value does not depend on `block`, up to rounding."""

    block: Annotated[
        int, "Texts that a device compares with its images at once; 0: as many as 128 MB of logits allow.", NonNegative
    ] = 0


@dataclass(frozen=True)
class TwoTowerConfig(Training):
    text: Text = Text()
    contrastive: PairOptions = PairOptions()


class TwoTowers(Objective):
    """An image tower and a text tower, trained to give similar features to an image and its caption."""

    Config = TwoTowerConfig
    config: TwoTowerConfig
    uses_prompts = True

    @classmethod
    def validate(cls, config: TwoTowerConfig) -> None:
        if config.batch_size < 2:
            raise UserError("batch_size=1 has no other pair to compare with: set it to 2 or more")

    @classmethod
    def effective_log_prior(
        cls, config: TwoTowerConfig, frequency: Int[np.ndarray, " class"]
    ) -> Float[np.ndarray, " class"]:
        """0: a class is among the texts that compete as often as among the images."""
        if config.data.captions.distractors:
            raise UnknownPriorError(
                "with data.captions.distractors, captions name wrong classes: no effective log-prior is known"
            )
        return np.zeros(len(frequency))

    @classmethod
    def open_towers(cls, config: TwoTowerConfig, shapes_only: bool = False) -> Towers:
        section, model, text = config.text, config.model, None
        if section.init != RANDOM:
            sizes = {"output_dim": model.image.output_dim, "context_length": model.text.context_length}
            text = text_tower_shapes(section.init, **sizes) if shapes_only else None
            text = text or open_text_tower(section.init, partial=section.partial, merges=section.tokenizer, **sizes)
        if section.dropout and not (text.encoder if text else "hf_model_name" in describe_text_tower(model.text)):
            raise UserError(f"text.dropout={section.dropout}: only encoders such as BERT have dropout")
        return Towers(super().open_towers(config, shapes_only).image, text)

    @classmethod
    def open_text(cls, config: TwoTowerConfig, variant: Variant, towers: Towers, workdir: Path | None) -> TextInput:
        """Captions are read by the tokenizer, or replaced by the cached outputs of a frozen text tower."""
        text = open_tokenizer(config, variant, towers, workdir)
        if can_cache(config, towers):
            tower, dtype = towers.text, config.model.dtype
            return replace(
                text,
                read_captions=cached_text(tower, dtype, distinct_captions(variant)),
                read_prompts=lambda prompts: cached_text(tower, dtype, list(dict.fromkeys(prompts)))(prompts),
            )
        if can_cut(config, towers):
            return replace(
                text,
                read_captions=functools.partial(
                    cut_ids, text.read_captions, longest_caption(variant, text.read_captions)
                ),
            )
        return text

    def random_text(self, rng: np.random.Generator, batch_size: int) -> np.ndarray:
        if can_cache(self.config, self.towers):
            return rng.normal(size=(batch_size, self.towers.text.pooled_width)).astype(np.float32)
        return super().random_text(rng, batch_size)

    @property
    def frozen(self) -> tuple[str, ...]:
        return (*super().frozen, *(["text"] if self.config.text.freeze else []))

    def describe_model(self) -> dict[str, Any]:
        model, image, tower = self.config.model, self.describe_image_tower(), self.towers.text
        text_cfg = describe_text(self.config, self.towers, self.text.size)
        if not self.text.source:  # open_clip reads the run's own merges from this file
            text_cfg |= {"hf_tokenizer_name": TOKENIZER, "tokenizer_kwargs": {"clean": "lower"}}
        description = {"model_cfg": {"embed_dim": model.image.output_dim, **image, "text_cfg": text_cfg}}
        if tower and tower.encoder:
            description["encoder"] = tower.encoder
        quick_gelu = tower.quick_gelu if tower else model.activation == "quick_gelu"
        return description if quick_gelu == image["quick_gelu"] else description | {"text_quick_gelu": quick_gelu}

    @property
    def build_options(self) -> dict[str, Any]:
        return super().build_options | {"dropout": self.config.text.dropout}

    def encode(self, model: nnx.Module, batch: DeviceBatch, key: Array) -> dict[str, Array]:
        return {
            "image": model.encode_image(self.images(batch), train=True, mask=batch["mask"]),
            "text": model.encode_text(batch["text"], key if self.config.text.dropout else None),
        }


def open_tokenizer(config: TwoTowerConfig, variant: Variant, towers: Towers, workdir: Path | None) -> TextInput:
    """The tokenizer of the trained text tower, the one in a given file, or the run's own, which `workdir` may have."""
    section, sizes, text_cfg = config.text, config.model.text, describe_text(config, towers)
    merges = {"merges": section.tokenizer} if section.tokenizer else {}
    if towers.text:
        tokenizer, source = towers.text.tokenizer, {"model": section.init} | merges
        return TextInput(tokenizer, tokenizer, tokenizer.vocab_size, source)
    if section.tokenizer:
        tokenizer = read_tokenizer(section.tokenizer, text_cfg)
        return TextInput(tokenizer, tokenizer, tokenizer.vocab_size, merges)
    if not takes_trained(text_cfg):
        raise UserError(
            f"the text tower {sizes.name} needs its own tokenizer: set text.tokenizer to the path of its file"
        )
    if workdir is not None and (workdir / TOKENIZER_FILE).exists():
        tokenizer = Tokenizer.load(workdir / TOKENIZER_FILE)
    else:
        tokenizer = caption_tokenizer(variant, sizes.vocab_size, sizes.context_length)
    return TextInput(
        tokenizer, tokenizer, tokenizer.vocab_size, save=lambda folder: tokenizer.save(folder / TOKENIZER_FILE)
    )


def can_cache(config: TwoTowerConfig, towers: Towers) -> bool:
    """Whether the text tower's pooled outputs of the captions are the same in each epoch."""
    text, tower = config.text, towers.text
    is_constant = text.freeze and not text.dropout and not config.data.captions.resample
    return tower is not None and text.cache and is_constant and tower.has_published_outputs()


def can_cut(config: TwoTowerConfig, towers: Towers) -> bool:
    """Whether padding has no effect on the features of a caption, and captions are the same in each epoch."""
    text_cfg, encoder = describe_text(config, towers), towers.text.encoder if towers.text else None
    build = functools.partial(build_text_tower, text_cfg, config.model.image.output_dim, encoder=encoder)
    tower = nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))
    return getattr(tower, "may_be_cut", False) and not config.data.captions.resample


def describe_text(config: TwoTowerConfig, towers: Towers, vocab_size: int = 0) -> dict[str, Any]:
    """open_clip's text_cfg of the text tower, with as many tokens as the config has, or `vocab_size`."""
    if towers.text:
        return dict(towers.text.config)
    text = config.model.text
    return describe_text_tower(replace(text, vocab_size=vocab_size or text.vocab_size))


def cut_ids(tokenizer: Tokenize, length: int, texts: Sequence[str]) -> Int32[np.ndarray, "batch length"]:
    """Only the first `length` ids of each text."""
    return tokenizer(texts)[:, :length]


def longest_caption(variant: Variant, tokenizer: Tokenize) -> int:
    """The number of ids of the longest caption, rounded up to a multiple of 16; at most the tokenizer's context.

    A caption ends at its highest id, as in text towers that may be cut. The search stops at a caption that fills the
    context, so it is short for captions from the web.
    """
    longest, context = 0, tokenizer([""]).shape[1]
    for captions in caption_chunks(variant):
        for start in range(0, len(captions), CAPTIONS_AT_ONCE):
            ids = tokenizer(list(dict.fromkeys(captions[start : start + CAPTIONS_AT_ONCE])))
            longest = max(longest, int(ids.argmax(-1).max()) + 1)
            if (length := -(-longest // TILE) * TILE) >= context:
                return context
    return length
