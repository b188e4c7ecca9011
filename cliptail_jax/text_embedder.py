"""Texts to features by the text tower of a CLIP: one trained here, or a published one."""

import functools
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from cliptail_jax import runs
from cliptail_jax.configuration import base_config
from cliptail_jax.errors import UserError
from cliptail_jax.frequency_tables import read_frequency
from cliptail_jax.input.tokenizer import Tokenizer
from cliptail_jax.models.clip import CLIP
from cliptail_jax.pretrained.load import load
from cliptail_jax.pretrained.tokenizer import HuggingFaceTokenizer
from cliptail_jax.sharding import make_mesh
from cliptail_jax.trained import as_config, restore_run, with_tokenizer

SHORTEST = 8  # tokens


class TextEmbedder:
    """Embeds texts in batches of like length: most captions are far shorter than the context."""

    def __init__(
        self,
        clip: CLIP,
        tokenizer: Tokenizer | HuggingFaceTokenizer,
        dim: int,
        batch_size: int = 1024,
    ):
        self.dim = dim
        self._tokenizer, self._batch_size = tokenizer, batch_size
        definition, weights = nnx.split(clip)

        @jax.jit
        def encode(weights: nnx.State, tokens: Int[Array, "batch length"]) -> Float[Array, "batch dim"]:
            return nnx.merge(definition, weights).encode_text(tokens).astype(jnp.float32)

        self._encode = functools.partial(encode, weights)

    def __call__(self, texts: Sequence[str | None]) -> Float[np.ndarray, "text dim"]:
        """Unit-length features; a missing text is an empty one."""
        return unit(self.raw(texts))

    def raw(self, texts: Sequence[str | None]) -> Float[np.ndarray, "text dim"]:
        """Features as the text tower gives them."""
        tokens = self._tokenizer([text or "" for text in texts])
        if isinstance(self._tokenizer, Tokenizer):  # what follows its end token has no effect
            lengths = np.array([self._shape(length) for length in tokens.argmax(-1) + 1], np.int64)
        else:
            lengths = np.full(len(texts), tokens.shape[1])
        features = np.zeros((len(texts), self.dim), np.float32)
        for length in np.unique(lengths):
            of_length = np.flatnonzero(lengths == length)
            for start in range(0, len(of_length), self._batch_size):
                rows = of_length[start : start + self._batch_size]
                padded = np.resize(rows, self._batch_size)  # one compiled shape a length
                features[rows] = np.asarray(self._encode(tokens[padded, :length]))[: len(rows)]
        return features

    def _shape(self, length: int) -> int:
        """The power of two, or the whole context, that a text of so many tokens is cut to."""
        return min(max(SHORTEST, 1 << (int(length) - 1).bit_length()), self._tokenizer.context_length)


def unit(features: Float[np.ndarray, "text dim"]) -> Float[np.ndarray, "text dim"]:
    """At length 1."""
    return features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)


@functools.cache
def load_text_embedder(clip: str) -> TextEmbedder:
    """The text tower of a CLIP run's work directory, as its newest checkpoint has it, or of a published CLIP.

    Raises UserError for a directory of another run, and where `pretrained.load` finds no model of that name.
    """
    workdir = Path(clip)
    flat = runs.read_config(workdir)
    if flat is None:
        published = load(clip)
        return TextEmbedder(published.model, published.tokenizer, published.config["embed_dim"])
    if flat["objective"] != "contrastive":
        raise UserError(f"{workdir} holds a run without a text tower: its objective is {flat['objective']}")
    config, tokenizer = with_tokenizer(as_config(flat), workdir)
    names, _ = read_frequency(workdir / "class_frequency.tsv")
    graphdef, state = restore_run(config, workdir, make_mesh(base_config().mesh), len(names))
    return TextEmbedder(nnx.merge(graphdef, *state.parts()), tokenizer, config.model.image.output_dim)
