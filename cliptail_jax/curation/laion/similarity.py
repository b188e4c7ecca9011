"""Stage 2: the similarity of each row's text to the definition of its class, by a CLIP text tower."""

import functools

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from cliptail_jax.concepts.vocabulary import imagenet_wnids
from cliptail_jax.concepts.wordnet import synset
from cliptail_jax.curation.laion.parts import with_column
from cliptail_jax.pretrained.text_embedder import TextEmbedder, load_text_embedder


def definition(wnid: str) -> str:
    """'NAME which is DEFINITION', with WordNet's first lemma and gloss."""
    found = synset(wnid)
    return f"{found.lemma_names()[0].replace('_', ' ')} which is {found.definition()}"


class Similarity:
    """The stage, which adds the column `similarity`: the cosine of text and definition, in -1..1."""

    def __init__(self, embedder: TextEmbedder, text: str):
        self._embedder, self._text = embedder, text
        self._definitions: Float[np.ndarray, "class dim"] = embedder([definition(wnid) for wnid in imagenet_wnids()])

    def __call__(self, table: pa.Table) -> pa.Table:
        texts = self._embedder(table[self._text].to_pylist())
        definitions = self._definitions[table["label"].to_numpy()]
        return with_column(table, "similarity", pa.array(np.einsum("td,td->t", texts, definitions)))


def similarity(table: pa.Table, clip: str, text: str) -> pa.Table:
    """Applies the stage with the text tower of `clip`, which each process loads once."""
    return _of(clip, text)(table)


@functools.cache
def _of(clip: str, text: str) -> Similarity:
    return Similarity(load_text_embedder(clip), text)
