"""Stage 1, rows whose text names exactly one ImageNet class; and stage 3, those that match it and are safe.

ASCII punctuation becomes spaces. A lemma of the class's synset then matches between spaces or the ends of the text, in
its own case: 'paid' does not contain 'ai', 'Great Dane' matches only with capitals, and a lemma with a hyphen never
matches. Lemmas of several classes are ignored.
"""

import functools
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cliptail_jax.concepts.class_lists import imagenet_wnids
from cliptail_jax.concepts.phrase_matcher import PhraseMatcher
from cliptail_jax.concepts.wordnet import synset
from cliptail_jax.curation.laion.parts import with_columns

SAFE = "UNLIKELY"  # LAION's tag of images that are unlikely to be "not safe for work"
PUNCTUATION = r"[!-/:-@\[-`{-~]"


@functools.cache
def matcher() -> PhraseMatcher:
    lemmas = [
        (name.replace("_", " "), label)
        for label, wnid in enumerate(imagenet_wnids())
        for name in dict.fromkeys(synset(wnid).words)
    ]
    frequency = Counter(lemma for lemma, _ in lemmas)
    return PhraseMatcher({f" {lemma} ": [label] for lemma, label in lemmas if frequency[lemma] == 1}, whole_words=False)


def match(table: pa.Table, text: str) -> pa.Table:
    """The rows of the table whose column `text` names one class, with the columns `wnid` and `label` of the class."""
    texts = pc.replace_substring_regex(pc.fill_null(table[text], ""), PUNCTUATION, " ")
    rows, labels = matcher().matches(pc.binary_join_element_wise("", texts, "", " "))
    is_single = np.bincount(rows, minlength=len(table))[rows] == 1
    rows, labels = rows[is_single], labels[is_single]
    wnids = pa.array(imagenet_wnids()).take(pa.array(labels))
    return with_columns(table.take(pa.array(rows)), wnid=wnids, label=pa.array(labels))


def select(table: pa.Table, threshold: float, nsfw: str) -> pa.Table:
    """The rows above the similarity threshold whose NSFW tag is UNLIKELY; rows without a tag are dropped."""
    keep = pc.and_(pc.greater(table["similarity"], threshold), pc.equal(table[nsfw], SAFE))
    return table.filter(pc.fill_null(keep, False))
