"""Finds the phrases of classes in texts as written, in one pass for all phrases (Aho and Corasick, 1975)."""

import functools
from collections.abc import Mapping, Sequence

import ahocorasick
import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int

from cliptail_jax.concepts.lexicon import NumberSets

BLOCK = 20_000  # texts to search at a time


class PhraseMatcher:
    """Finds the classes whose phrases occur in texts."""

    def __init__(self, classes_of: Mapping[str, Sequence[int]], whole_words: bool = True, longest: bool = False):
        """
        Args:
            classes_of: phrase -> the labels of its classes.
            whole_words: whether a phrase matches only between word boundaries, as in regular expressions.
            longest: whether phrases inside longer ones are ignored, and so are texts that still have phrases of several
                classes: of 'arrow' and 'arrow down', 'arrow down circle' has the second, and 'arrow down arrow' neither.
        """
        self._whole_words, self._longest = whole_words, longest
        phrases = [phrase for phrase in classes_of if phrase]
        self._automaton = ahocorasick.Automaton()
        for i, phrase in enumerate(phrases):
            self._automaton.add_word(phrase, i)
        self._automaton.make_automaton()
        self._length = np.array([len(phrase) for phrase in phrases], np.int64)
        self._classes_of = NumberSets(classes_of[phrase] for phrase in phrases)

    def matches(
        self, texts: pa.Array | pa.ChunkedArray, lower_case: bool = False
    ) -> tuple[Int[np.ndarray, " pair"], Int[np.ndarray, " pair"]]:
        """The pairs of a text and a class whose phrase is in it, ordered by text, then by class.

        With `lower_case`, texts are lower-cased first.
        """
        pairs = []
        for start in range(0, len(texts), BLOCK):
            block = texts.slice(start, BLOCK).to_pylist()
            pairs.append(self._in_block([text.lower() for text in block] if lower_case else block, start))
        pairs = np.concatenate([np.zeros((0, 2), np.int64), *pairs])
        return pairs[:, 0], pairs[:, 1]

    def _in_block(self, texts: Sequence[str], start: int) -> Int[np.ndarray, "pair 2"]:
        content = "\n" + "\n".join(texts) + "\n"
        hits = np.array(list(self._automaton.iter(content)), np.int64).reshape(-1, 2)
        last, phrase = hits[:, 0], hits[:, 1]
        first = last - self._length[phrase] + 1
        if self._whole_words:
            is_word = word_characters()[np.frombuffer(content.encode("utf-32-le", "surrogatepass"), np.uint32)]
            is_whole = ~is_word[first - 1] & ~is_word[last + 1]
            first, last, phrase = first[is_whole], last[is_whole], phrase[is_whole]
        if self._longest:
            order = np.lexsort((-last, first))
            first, last, phrase = first[order], last[order], phrase[order]
            is_outer = np.diff(np.maximum.accumulate(last), prepend=-1) > 0  # it ends after all that begin before it
            first, phrase = first[is_outer], phrase[is_outer]

        starts = 1 + np.concatenate([[0], np.cumsum([len(text) + 1 for text in texts])])
        row = np.searchsorted(starts, first, side="right") - 1
        # A phrase of several classes makes a pair with each of them.
        hit, classes = self._classes_of.members(phrase)
        pairs = np.unique(np.stack([row[hit] + start, classes], axis=1), axis=0)
        if self._longest:
            _, place, count = np.unique(pairs[:, 0], return_index=True, return_counts=True)
            pairs = pairs[place[count == 1]]
        return pairs


@functools.cache
def word_characters() -> Bool[np.ndarray, " codepoint"]:
    """Marks the code points that are word characters: letters, digits and the underscore."""
    table = np.array([chr(c).isalnum() for c in range(0x110000)])
    table[ord("_")] = True
    return table
