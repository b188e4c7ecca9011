"""Finds the concepts that captions name. The cost grows with the number of matches, not with the class list."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from cliptail_jax.concepts.lexicon import Lexicon, NumberSets, Occurrences, distinct, key_step, ranges, split_keys
from cliptail_jax.concepts.splitting import Words


class ConceptIndex:
    """The phrases of each concept, as sets of lemmas, and the lemmas that it excludes. Concepts are numbered from 0."""

    def __init__(self, phrases: Sequence[frozenset[frozenset[str]]], excluded_lemmas: Sequence[frozenset[str]]):
        self._lexicon = Lexicon(
            sorted(set().union(*(phrase for group in phrases for phrase in group), *excluded_lemmas))
        )
        number = self._lexicon.numbers.__getitem__
        self._phrases = NumberSets(map(number, phrase) for group in phrases for phrase in group)
        self._concept_of_phrase = np.repeat(np.arange(len(phrases), dtype=np.int32), [len(group) for group in phrases])
        self._num_concepts = len(phrases)
        self._exclusions = NumberSets(map(number, lemmas) for lemmas in excluded_lemmas)

    def matches(self, words: Words) -> tuple[Int[np.ndarray, " match"], Int[np.ndarray, " match"]]:
        """The pairs of a caption and a concept that it names, ascending by concept, then by caption."""
        occurrences = self._lexicon.occurrences(words)
        phrases, captions = self._phrase_matches(occurrences)
        step = key_step(self._num_concepts, words.num_captions)
        concepts, captions = split_keys(distinct(self._concept_of_phrase[phrases] * step + captions), step)

        match, lemmas = self._exclusions.members(concepts)
        is_match = np.ones(len(concepts), bool)
        is_match[match[occurrences.include(lemmas, captions[match])]] = False
        return captions[is_match], concepts[is_match]

    def _phrase_matches(self, occurrences: Occurrences) -> tuple[Int[np.ndarray, " match"], Int[np.ndarray, " match"]]:
        """The pairs of a phrase and a caption with it, ascending by phrase."""
        lemmas, num_lemmas = self._phrases.numbers, len(occurrences.frequency)
        rarest = np.minimum.reduceat(occurrences.frequency[lemmas] * num_lemmas + lemmas, self._phrases.first)
        phrases = np.flatnonzero(rarest >= num_lemmas)
        rarest = rarest[phrases] % num_lemmas
        frequency = occurrences.frequency[rarest]
        captions = occurrences.captions[ranges(occurrences.first[rarest], frequency)]  # candidates, phrase by phrase

        phrase, lemmas = self._phrases.members(phrases)
        other_members = np.flatnonzero(lemmas != rarest[phrase])
        phrase, lemmas = phrase[other_members], lemmas[other_members]
        candidates = ranges((np.cumsum(frequency) - frequency)[phrase], frequency[phrase])
        is_included = occurrences.include(np.repeat(lemmas, frequency[phrase]), captions[candidates])
        has_all = np.ones(len(captions), bool)
        has_all[candidates[~is_included]] = False
        return np.repeat(phrases, frequency)[has_all], captions[has_all]
