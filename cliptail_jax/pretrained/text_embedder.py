"""Texts to features by the text tower of a CLIP: one trained here, or a published one."""

import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Shaped

from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer
from cliptail_jax.input.tokenizer import Tokenizer
from cliptail_jax.models.bert import BertText
from cliptail_jax.models.text import TextTransformer
from cliptail_jax.pretrained.model import open_text_model

SHORTEST = 8  # tokens


class TextEmbedder:
    """Embeds texts by a text tower, on all of this process's devices, in batches of like length: most are short."""

    def __init__(
        self,
        tower: TextTransformer | BertText,
        tokenizer: Tokenizer | HuggingFaceTokenizer,
        dim: int,
        batch_size: int = 1024,
        weights_digest: str | None = None,
        states: bool = False,
    ):
        """`dim` is the width of the tower's features, or with `states` of its pooled states, which are given instead."""
        self.dim = dim
        self.weights_digest = weights_digest  # sha256 of the weights
        self._tokenizer, self._tower = tokenizer, tower
        mesh = Mesh(np.array(jax.local_devices()), "data")
        self._batch_size = -(-batch_size // mesh.size) * mesh.size
        definition, weights = nnx.split(tower)
        weights = jax.device_put(weights, NamedSharding(mesh, PartitionSpec()))

        @functools.partial(jax.jit, in_shardings=(None, NamedSharding(mesh, PartitionSpec("data"))))
        def encode(weights: nnx.State, tokens: Int[Array, "batch length"]) -> Float[Array, "batch dim"]:
            tower = nnx.merge(definition, weights)
            return tower.state(tokens) if states else tower(tokens)

        self._encode = functools.partial(encode, weights)

    def __call__(self, texts: Sequence[str | None]) -> Float[np.ndarray, "text dim"]:
        """Unit-length features; a missing text is an empty one."""
        return unit(self.raw(texts))

    def raw(self, texts: Sequence[str | None]) -> Float[np.ndarray, "text dim"]:
        """Features as the text tower gives them."""
        return self.of_tokens(self._tokenizer([text or "" for text in texts]))

    def of_tokens(self, tokens: Int[np.ndarray, "text context"]) -> Float[np.ndarray, "text dim"]:
        """The same of texts that are tokenised."""
        if not len(tokens):
            return np.zeros((0, self.dim), np.float32)
        return embed_by_length(self._encode, tokens, cut_lengths(self._tower, tokens), self._batch_size)


def embed_by_length(
    encode: Callable[[Shaped[np.ndarray, "batch length"]], Float[Array, "batch dim"]],
    text: Shaped[np.ndarray, "text width"],
    lengths: Int[np.ndarray, "text"],
    batch_size: int,
) -> Float[np.ndarray, "text dim"]:
    """What `encode` gives for texts, in batches of texts that are cut to the same length: one compiled shape for each.

    `lengths` are those of `cut_lengths`. The last batch of a length is filled up by repeating its texts.
    """
    features = None
    for length in np.unique(lengths):
        of_length = np.flatnonzero(lengths == length)
        for start in range(0, len(of_length), batch_size):
            rows = of_length[start : start + batch_size]
            embedded = np.asarray(encode(text[np.resize(rows, batch_size), :length]))[: len(rows)]
            if features is None:
                features = np.zeros((len(text), embedded.shape[1]), np.float32)
            features[rows] = embedded
    return features


def cut_lengths(tower: TextTransformer | BertText, text: Shaped[np.ndarray, "text width"]) -> Int[np.ndarray, "text"]:
    """What each text may be cut to for a tower: the power of two that holds its tokens, or the whole width.

    Nothing can be cut off a frozen tower's states, nor of texts to which a tower pays heed behind their end.
    """
    width = text.shape[1]
    if not np.issubdtype(text.dtype, np.integer):
        return np.full(len(text), width)
    if isinstance(tower, BertText):
        used = width - (text != tower.pad_id)[:, ::-1].argmax(-1)  # the pad token may also stand within a text
    elif tower.may_be_cut:
        used = text.argmax(-1) + 1
    else:
        return np.full(len(text), width)
    powers = 1 << np.ceil(np.log2(np.maximum(used, SHORTEST))).astype(np.int64)
    return np.minimum(powers, width)


def unit(features: Float[np.ndarray, "text dim"]) -> Float[np.ndarray, "text dim"]:
    """At length 1."""
    return features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)


@functools.cache
def load_text_embedder(name: str) -> TextEmbedder:
    """The text tower of a run or a published CLIP; or a BERT or RoBERTa on its own, whose states are averaged over a text.

    Raises UserError where there is no such model, or it has no text tower.
    """
    opened = open_text_model(name)
    return TextEmbedder(opened.model.text, opened.tokenizer, opened.embed_dim, weights_digest=opened.digest)
