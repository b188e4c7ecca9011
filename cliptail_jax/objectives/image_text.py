"""The common part of the objectives that train an image tower and a text tower on pairs: everything but the loss."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Int32
from ml_collections import ConfigDict

from cliptail_jax.config.fields import Incidental, NonNegative, Rule
from cliptail_jax.curation.variant import Variant, caption_chunks, distinct_captions
from cliptail_jax.errors import UserError
from cliptail_jax.input.tokenizer import Tokenizer, load_clip_tokenizer, train_tokenizer
from cliptail_jax.models.text_towers import build_text_tower, describe_text_tower
from cliptail_jax.pretrained.source import TOKENIZER
from cliptail_jax.pretrained.text_cache import cached_text
from cliptail_jax.pretrained.tokenizers import TextTokenizer
from cliptail_jax.pretrained.tower_shapes import text_tower_shapes
from cliptail_jax.pretrained.towers import Towers, open_text_tower
from cliptail_jax.training.objective import RANDOM, Objective
from cliptail_jax.training.state import DeviceBatch

TILE = 16  # a TPU stores, and computes with, this number of bfloat16 tokens together
AT_ONCE = 1024  # captions
Tokenize = Callable[[Sequence[str]], Int32[np.ndarray, "batch context"]]


@dataclass(frozen=True)
class Text:
    """The text tower of a run that has one."""

    init: Annotated[str, "'random', or a published CLIP (its text tower), BERT or RoBERTa."] = "random"
    freeze: Annotated[bool, "Whether the parameters that init fills are frozen."] = False
    partial: Annotated[bool, "Whether init may leave parameters to be randomly initialized and trained."] = False
    dropout: Annotated[
        float,
        "Dropout of a BERT or RoBERTa during training, even if it is frozen; they were trained with 0.1.",
        Rule(lambda value: 0 <= value < 1, "must be 0 or more and below 1"),
    ] = 0.0
    cache: Annotated[
        bool,
        "Whether to embed each caption once instead of at every step, if a frozen tower's captions do not change.",
        Incidental,
    ] = True
    tokenizer: Annotated[
        str, "CLIP's merges file; '': train a tokenizer of model.text.vocab_size tokens on the variant's captions."
    ] = ""


@dataclass(frozen=True)
class Comparison:
    """The comparison of images and texts in the loss. Its value does not depend on `block`, up to rounding."""

    text_to_image: Annotated[
        bool, "Whether CLIP's loss also predicts the image of each text, and not only the text of each image."
    ] = True
    block: Annotated[
        int, "Texts that a device compares with its images at once; 0: as many as 128 MB of logits allow.", NonNegative
    ] = 0


class ImageText(Objective):
    """An image tower and a text tower, trained to give similar features to an image and its caption."""

    uses_prompts = True

    sections = {"text": Text(), "contrastive": Comparison()}
    _vocab_size: int | None = None  # of the tokenizer; few captions yield fewer merges than the config asks for

    @classmethod
    def validate(cls, config: ConfigDict) -> None:
        if config.batch_size < 2:
            raise UserError("batch_size=1 has no other pair to compare with: set it to 2 or more")

    def open_towers(self) -> Towers:
        section, model, text = self.config.text, self.config.model, None
        if section.init != RANDOM:
            sizes = {"output_dim": model.image.output_dim, "context_length": model.text.context_length}
            text = text_tower_shapes(section.init, **sizes) if self.shapes_only else None
            text = text or open_text_tower(section.init, partial=section.partial, merges=section.tokenizer, **sizes)
        if section.dropout and not (text.encoder if text else model.text.name != "transformer"):
            raise UserError(f"text.dropout={section.dropout}: only encoders such as BERT have dropout")
        return Towers(super().open_towers().image, text)

    def open_text(self, workdir: Path) -> None:
        """Captions are read by the tokenizer, or replaced by the cached outputs of a frozen text tower."""
        tokenizer = self._open_tokenizer(workdir / "tokenizer.json")
        self.read = self.read_prompts = tokenizer
        self._vocab_size = tokenizer.vocab_size
        if self.can_cache():
            tower, dtype = self.towers.text, self.config.model.dtype
            self.read = cached_text(tower, dtype, distinct_captions(self.variant))
            self.read_prompts = lambda prompts: cached_text(tower, dtype, list(dict.fromkeys(prompts)))(prompts)
        elif self.can_cut():
            self.read = functools.partial(cut_ids, tokenizer, longest_caption(self.variant, tokenizer))

    def _open_tokenizer(self, saved: Path) -> TextTokenizer:
        """The tokenizer of the trained text tower, CLIP's if its merges are given, or the run's own in the file `saved`."""
        section, sizes = self.config.text, self.config.model.text
        merges = {"merges": section.tokenizer} if section.tokenizer else {}
        if self.towers.text:
            self.tokenizer_source = {"model": section.init} | merges
            return self.towers.text.tokenizer
        if section.tokenizer:
            self.tokenizer_source = merges
            return load_clip_tokenizer(section.tokenizer, sizes.context_length)
        if saved.exists():
            return Tokenizer.load(saved)
        captions = self.variant.captions(range(len(self.variant)), epoch=0)
        # Runs on nearly the same captions then have the same program, which is compiled once.
        tokenizer = train_tokenizer(captions, sizes.vocab_size, sizes.context_length, multiple=64)
        if jax.process_index() == 0:
            tokenizer.save(saved)
        return tokenizer

    def can_cache(self) -> bool:
        """Whether the text tower's pooled outputs of the captions are the same in each epoch."""
        text, tower = self.config.text, self.towers.text
        unchanged = text.freeze and not text.dropout and not self.config.data.captions.resample
        return tower is not None and text.cache and unchanged and tower.has_published_outputs()

    def can_cut(self) -> bool:
        """Whether padding has no effect on the features of a caption, and captions are the same in each epoch."""
        described = self.describe_model()
        cfg, encoder = described["model_cfg"], described.get("encoder")
        build = functools.partial(build_text_tower, cfg["text_cfg"], cfg["embed_dim"], encoder=encoder)
        tower = nnx.eval_shape(lambda: build(rngs=nnx.Rngs(0)))
        return getattr(tower, "may_be_cut", False) and not self.config.data.captions.resample

    def random_text(self, rng: np.random.Generator, batch_size: int) -> np.ndarray:
        if self.can_cache():
            return rng.normal(size=(batch_size, self.towers.text.pooled_width)).astype(np.float32)
        return super().random_text(rng, batch_size)

    @property
    def frozen(self) -> tuple[str, ...]:
        return (*super().frozen, *(["text"] if self.config.text.freeze else []))

    def describe_model(self) -> dict[str, Any]:
        model = self.config.model.copy_and_resolve_references()
        model.text.vocab_size = self._vocab_size or model.text.vocab_size
        image, tower = self.describe_image_tower(), self.towers.text
        text_cfg = tower.config if tower else describe_text_tower(model.text)
        if not self.tokenizer_source:  # open_clip reads the run's own merges from this file
            text_cfg |= {"hf_tokenizer_name": TOKENIZER, "tokenizer_kwargs": {"clean": "lower"}}
        described = {"model_cfg": {"embed_dim": model.image.output_dim, **image, "text_cfg": text_cfg}}
        if tower and tower.encoder:
            described["encoder"] = tower.encoder
        quick_gelu = tower.quick_gelu if tower else model.activation == "quick_gelu"
        return described if quick_gelu == image["quick_gelu"] else described | {"text_quick_gelu": quick_gelu}

    @property
    def build_options(self) -> dict[str, Any]:
        return super().build_options | {"dropout": self.config.text.dropout}

    def encode(self, model: nnx.Module, batch: DeviceBatch, key: Array) -> dict[str, Array]:
        return {
            "image": model.encode_image(self.images(batch), train=True, mask=batch["mask"]),
            "text": model.encode_text(batch["text"], key if self.config.text.dropout else None),
        }


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
        for start in range(0, len(captions), AT_ONCE):
            ids = tokenizer(list(dict.fromkeys(captions[start : start + AT_ONCE])))
            longest = max(longest, int(ids.argmax(-1).max()) + 1)
            if (cut := -(-longest // TILE) * TILE) >= context:
                return context
    return cut
