"""Embeds texts with the text tower of any model that has one."""

import functools
from collections.abc import Callable, Sequence

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, Shaped
from tqdm import tqdm

from cliptail_jax.concepts.class_lists import Concept
from cliptail_jax.concepts.templates import templates
from cliptail_jax.models.encoder_text import EncoderText
from cliptail_jax.models.text import TextTransformer
from cliptail_jax.pretrained.model import open_text_model
from cliptail_jax.pretrained.tokenizers import TextTokenizer

MIN_LENGTH = 8  # tokens


class TextEmbedder:
    """Embeds texts on all devices of this process, in batches of texts of similar length, since most texts are short.

    Args:
        tower: the text tower.
        tokenizer: its tokenizer.
        batch_size: the number of texts at a time; rounded up to a multiple of the number of devices.
        weights_digest: SHA-256 of the weights, if known.
        pooled: whether to return the tower's pooled outputs, before the projection, instead of its features.

    Attributes:
        dim: the width of the features or pooled outputs.
        weights_digest: SHA-256 of the weights, if known.
    """

    def __init__(
        self,
        tower: TextTransformer | EncoderText,
        tokenizer: TextTokenizer,
        *,
        batch_size: int = 1024,
        weights_digest: str | None = None,
        returns_states: bool = False,
    ):
        self.weights_digest = weights_digest
        self._tokenizer, self._tower = tokenizer, tower
        mesh = Mesh(np.array(jax.local_devices()), "data")
        self._batch_size = -(-batch_size // mesh.size) * mesh.size
        definition, weights = nnx.split(tower)
        weights = jax.device_put(weights, NamedSharding(mesh, PartitionSpec()))

        def encode(weights: nnx.State, tokens: Int[Array, "batch length"]) -> Float[Array, "batch dim"]:
            tower = nnx.merge(definition, weights)
            return tower.state(tokens) if returns_states else tower(tokens)

        self.dim = jax.eval_shape(encode, weights, jax.ShapeDtypeStruct((1, 2), np.int32)).shape[1]
        encode_tokens = jax.jit(encode, in_shardings=(None, NamedSharding(mesh, PartitionSpec("data"))))
        self._encode = functools.partial(encode_tokens, weights)

    def __call__(self, texts: Sequence[str | None]) -> Float[np.ndarray, "text dim"]:
        """Unit-length features; a missing text counts as an empty one."""
        return unit(self.raw(texts))

    def raw(self, texts: Sequence[str | None]) -> Float[np.ndarray, "text dim"]:
        """Unnormalized features; a missing text counts as an empty one."""
        if not len(texts):
            return np.zeros((0, self.dim), np.float32)
        tokens = self._tokenizer([text or "" for text in texts])
        return embed_by_length(self._encode, tokens, cut_lengths(self._tower, tokens), self._batch_size)


def embed_by_length(
    encode: Callable[[Shaped[np.ndarray, "batch length"]], Float[Array, "batch dim"]],
    text: Shaped[np.ndarray, "text width"],
    lengths: Int[np.ndarray, " text"],
    batch_size: int,
    progress: str | None = None,
) -> Float[np.ndarray, "text dim"]:
    """The output of `encode` for one or more texts, in batches of texts that are truncated to the same length.

    `encode` is thus compiled for one shape per length. Texts are repeated to fill up the last batch of a length.

    Args:
        lengths: the result of `cut_lengths`.
        progress: the title of a progress bar; None for no progress bar.
    """
    features = None
    disable = None if progress else True  # None: only on a terminal
    with tqdm(total=len(text), desc=progress, unit=" texts", unit_scale=True, disable=disable, leave=False) as bar:
        for length in np.unique(lengths):
            rows_of_length = np.flatnonzero(lengths == length)
            for start in range(0, len(rows_of_length), batch_size):
                rows = rows_of_length[start : start + batch_size]
                outputs = np.asarray(encode(text[np.resize(rows, batch_size), :length]))[: len(rows)]
                if features is None:
                    features = np.zeros((len(text), outputs.shape[1]), np.float32)
                features[rows] = outputs
                bar.update(len(rows))
    return features


def cut_lengths(
    tower: TextTransformer | EncoderText, text: Shaped[np.ndarray, "text width"]
) -> Int[np.ndarray, " text"]:
    """The length to which each text may be truncated for a tower: the next power of two, or the width.

    Pooled outputs in place of tokens are not truncated, and neither are texts for a tower that attends to padding.
    """
    width, is_tokens = text.shape[1], np.issubdtype(text.dtype, np.integer)
    if is_tokens and isinstance(tower, EncoderText):
        ends = width - (text != tower.pad_id)[:, ::-1].argmax(-1)  # the pad token may also stand within a text
    elif is_tokens and tower.may_be_cut:
        ends = text.argmax(-1) + 1
    else:
        return np.full(len(text), width)
    powers = 1 << np.ceil(np.log2(np.maximum(ends, MIN_LENGTH))).astype(np.int64)
    return np.minimum(powers, width)


def mean_by_class(embeddings: Float[np.ndarray, "prompt dim"], sizes: Sequence[int]) -> Float[np.ndarray, "class dim"]:
    """The mean embedding of each class's prompts, which are consecutive; `sizes` are their numbers per class."""
    starts = np.cumsum([0, *sizes[:-1]])
    return np.add.reduceat(embeddings, starts) / np.array(sizes, np.float32)[:, None]


def unit(features: Float[np.ndarray, "text dim"]) -> Float[np.ndarray, "text dim"]:
    """The features divided by their Euclidean norms."""
    return features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)


@functools.cache
def load_text_embedder(name: str) -> TextEmbedder:
    """The text tower of a run or a published CLIP, or a Hugging Face text encoder with mean pooling.

    Raises UserError if there is no such model, or it has no text tower.
    """
    model = open_text_model(name)
    return TextEmbedder(model.model.text, model.tokenizer, weights_digest=model.digest)


def class_head(
    embedder: TextEmbedder,
    concepts: Sequence[Concept],
    template_set: str,
    synonyms: bool = False,
    average_unit: bool = False,
    unit_norm: bool = False,
) -> Float[np.ndarray, "classes dim"]:
    """One row per class: the mean embedding of its name, or of all its synonyms, in each template."""
    phrases = [concept.synonyms if synonyms and concept.synonyms else (concept.name,) for concept in concepts]
    prompts = [
        [t.format(phrase) for phrase in class_phrases for t in templates(template_set)] for class_phrases in phrases
    ]
    flat = [prompt for class_prompts in prompts for prompt in class_prompts]
    features = embedder(flat) if average_unit else embedder.raw(flat)
    head = mean_by_class(features, [len(class_prompts) for class_prompts in prompts])
    return unit(head) if unit_norm else head
