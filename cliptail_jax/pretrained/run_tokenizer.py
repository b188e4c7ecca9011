"""The tokenizer of a run: a published tower's, CLIP's, or one of its own."""

from collections.abc import Callable, Iterable
from pathlib import Path

import jax
from ml_collections import ConfigDict

from cliptail_jax.input.tokenizer import Tokenizer, load_clip_tokenizer, train_tokenizer
from cliptail_jax.pretrained.towers import TextTokenizer, Towers


def make_tokenizer(
    captions: Callable[[], Iterable[str]], config: ConfigDict, towers: Towers, saved: Path
) -> TextTokenizer | None:
    """The tokenizer of a published tower or of CLIP's merges, or one trained on the captions and saved in the run."""
    if config.objective != "contrastive":
        return None
    if towers.text or config.text.tokenizer or saved.exists():
        return load_tokenizer(config, towers, saved)
    text = config.model.text
    tokenizer = train_tokenizer(captions(), text.vocab_size, text.context_length)
    if jax.process_index() == 0:
        tokenizer.save(saved)
    return tokenizer


def load_tokenizer(config: ConfigDict, towers: Towers, saved: Path) -> TextTokenizer:
    """The published text tower's tokenizer, else CLIP's where its merges are given, else the one that the run has saved."""
    if towers.text:
        return towers.text.tokenizer
    if config.text.tokenizer:
        return load_clip_tokenizer(config.text.tokenizer, config.model.text.context_length)
    return Tokenizer.load(saved)


def with_vocab_size(config: ConfigDict, tokenizer: TextTokenizer | None) -> ConfigDict:
    """The config with as many token embeddings as the tokenizer has tokens: few captions yield few merges."""
    config = config.copy_and_resolve_references()
    if tokenizer:
        config.model.text.vocab_size = tokenizer.vocab_size
    return config
