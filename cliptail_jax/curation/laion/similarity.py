"""Stage 2: the similarity of each row's text to the definition of its class, by a CLIP text tower."""

import functools

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from cliptail_jax.concepts.class_lists import imagenet_wnids
from cliptail_jax.concepts.wordnet import synset
from cliptail_jax.curation.laion.parts import with_columns
from cliptail_jax.curation.rows import labels_of
from cliptail_jax.pretrained.text_embedder import TextEmbedder, load_text_embedder


def definition(wnid: str) -> str:
    """'NAME which is DEFINITION', with WordNet's first lemma and gloss."""
    class_synset = synset(wnid)
    return f"{class_synset.words[0].replace('_', ' ')} which is {class_synset.definition}"


def similarity(table: pa.Table, clip: str, text: str) -> pa.Table:
    """Adds the column `similarity`: the cosine of text and definition, in -1..1, by the text tower of `clip`."""
    embedder, class_definitions = embedded_definitions(clip)
    labels = labels_of(table["label"], imagenet_wnids(), "of --input")
    texts, definitions = embedder(table[text].to_pylist()), class_definitions[labels]
    return with_columns(table, similarity=pa.array(np.einsum("td,td->t", texts, definitions)))


@functools.cache  # once per process
def embedded_definitions(clip: str) -> tuple[TextEmbedder, Float[np.ndarray, "class dim"]]:
    """The text tower of `clip`, and its embeddings of the definitions of ImageNet's classes."""
    embedder = load_text_embedder(clip)
    return embedder, embedder([definition(wnid) for wnid in imagenet_wnids()])
