"""Counts the captions that name each concept of a class list: `ConceptCounter(classes).count(captions)`."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from cliptail_jax.concepts.class_lists import LEMMAS, LONGEST, PHRASES, Concept, check_unique
from cliptail_jax.concepts.matching import ConceptIndex
from cliptail_jax.concepts.phrase_matcher import PhraseMatcher
from cliptail_jax.concepts.splitting import count_undecodable, split_captions
from cliptail_jax.concepts.tally import COUNTS, Tally, count_chunks, in_order
from cliptail_jax.concepts.words import excluded_by, phrases_of
from cliptail_jax.formats.batches import CaptionColumn, batches_of
from cliptail_jax.formats.class_names import composed
from cliptail_jax.host.errors import UserError


class ConceptCounter:
    """Counts the captions that name each concept of a class list. It pickles, and needs WordNet only when it is made.

    By the paper's rule 'lemmas', a caption names a concept if it contains all words of one of the concept's phrases, in
    any order, and none of the words that the concept excludes (see `cliptail_jax.concepts.words`). By the rule
    'phrases', it names a concept if it contains one of the phrases as written, in any case; excluded words have no
    effect. The rule 'longest' ignores phrases inside longer ones, and a caption that still names several concepts names
    none. A missing caption names none. Captions are a list, an Arrow array, or a NumPy, Pandas or Polars column, of
    text or of UTF-8; invalid bytes count as spaces.

    Example: `ConceptCounter([Concept("cat"), Concept("dog")]).count(["two dogs"])` is {'cat': 0, 'dog': 1}.
    """

    def __init__(self, concepts: Sequence[Concept], rule: str = LEMMAS):
        """
        Raises:
            UserError: The list is empty, a name occurs twice, or by the rule 'lemmas', a concept has no phrase with a
                word in it, or WordNet is missing.
        """
        self.names = tuple(concept.name for concept in concepts)
        if not self.names:
            raise UserError("the class list is empty")
        check_unique(self.names, "the class list")
        self._phrases = None
        if rule in (PHRASES, LONGEST):
            self._phrases = PhraseMatcher(concepts_by_phrase(concepts), longest=rule == LONGEST)
            return
        phrases = [phrases_of(concept) for concept in concepts]
        for name, concept_phrases in zip(self.names, phrases):
            if not concept_phrases:
                raise UserError(f"class {name!r} has no phrase with a word of letters a-z: give it a synonym that has")
        self._index = ConceptIndex(phrases, [excluded_by(concept) for concept in concepts])

    def count(self, captions: CaptionColumn) -> dict[str, int]:
        """The number of captions that name each concept, in the order of the list.

        Raises:
            UserError: The captions are not text.
        """
        tally = count_chunks(self, [captions])
        return dict(zip(self.names, in_order(tally.counts, self.names)["count"].to_pylist()))

    def matches(self, captions: CaptionColumn) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
        """The pairs of a caption and a concept that it names, by index, ordered by caption, then by concept."""
        pairs, first = [np.zeros((0, 2), np.int64)], 0
        for batch in batches_of(captions):
            rows, concepts = self._pairs(batch)
            order = np.argsort(rows, kind="stable")
            pairs.append(np.stack([first + rows[order].astype(np.int64), concepts[order]], axis=1))
            first += len(batch)
        return tuple(np.concatenate(pairs).T)

    def tally(self, batch: pa.LargeBinaryArray) -> Tally:
        """Counts one batch; add up the results of many."""
        rows, concepts = self._pairs(batch)
        counts = np.bincount(concepts, minlength=len(self.names))
        num_concepts, indices = np.bincount(rows, minlength=len(batch)), np.flatnonzero(counts)
        table = pa.table([[self.names[index] for index in indices], counts[indices]], schema=COUNTS)
        naming_captions = int(np.sum(num_concepts == 1)), int(np.sum(num_concepts > 1))
        return Tally(table, len(batch), count_undecodable(batch), *naming_captions)

    def _pairs(self, captions: pa.LargeBinaryArray) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
        """The pairs of a caption and a concept that it names, for each concept in the order of captions."""
        if self._phrases:
            return self._phrases.matches(in_one_form(decoded(captions)), lower_case=True)
        return self._index.matches(split_captions(captions))


def concepts_by_phrase(concepts: Sequence[Concept]) -> dict[str, list[int]]:
    """The concepts that each phrase names, in lower case: its synonyms, or else its name."""
    indices: dict[str, list[int]] = {}
    for i, concept in enumerate(concepts):
        for phrase in dict.fromkeys(phrase.lower() for phrase in concept.synonyms or (concept.name,)):
            indices.setdefault(phrase, []).append(i)
    return indices


def in_one_form(captions: pa.Array) -> pa.Array:
    """Captions in one line each and in Unicode's composed form, as class names are. (pyarrow 25's NFC decomposes.)"""
    captions = pc.replace_substring(captions, "\n", " ")
    if pc.all(pc.string_is_ascii(captions)).as_py():
        return captions
    return pa.array(map(composed, captions.to_pylist()), pa.large_string())


def decoded(captions: pa.LargeBinaryArray) -> pa.Array:
    """Captions as text: a missing one is empty, and bytes that are not UTF-8 become the replacement character."""
    captions = captions.fill_null(b"")
    try:
        return captions.cast(pa.large_string())
    except pa.ArrowInvalid:
        return pa.array([caption.decode(errors="replace") for caption in captions.to_pylist()], pa.large_string())
