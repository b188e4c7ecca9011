"""Numbered lemmas, and their occurrences in a batch of captions."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int

from cliptail_jax.concepts.splitting import Words
from cliptail_jax.concepts.words import CONTRACTIONS, forms_of, lemma


class Occurrences:
    """The distinct pairs of a lemma (by number) and a caption of a batch that contains it.

    Attributes:
        lemmas, captions: the pairs, ascending by lemma, then by caption.
        frequency: the number of captions with each lemma.
        first: where each lemma's captions begin in `captions`.
    """

    def __init__(
        self, lemmas: Int[np.ndarray, " word"], captions: Int[np.ndarray, " word"], num_lemmas: int, num_captions: int
    ):
        """Takes the lemma and the caption of each word. It is fastest if the captions are in order."""
        self._step = key_step(num_lemmas, num_captions)
        # NumPy's stable sort is fastest for 16-bit numbers, and fast for numbers that are nearly sorted.
        by_lemma = np.argsort(lemmas.astype(np.min_scalar_type(num_lemmas)), kind="stable")
        self._keys = distinct((lemmas * self._step + captions)[by_lemma])
        self.lemmas, self.captions = split_keys(self._keys, self._step)
        self.frequency = np.bincount(self.lemmas, minlength=num_lemmas)
        self.first = np.cumsum(self.frequency) - self.frequency

    def include(
        self, lemmas: Int[np.ndarray, " pair"], captions: Int[np.ndarray, " pair"]
    ) -> Bool[np.ndarray, " pair"]:
        """Whether lemma i occurs in caption i."""
        keys = lemmas * self._step + captions
        no_key = self._keys.dtype.type(-1)  # comes after the last one
        return np.append(self._keys, no_key)[np.searchsorted(self._keys, keys)] == keys


class NumberSets:
    """Sets of numbers, of lemmas or classes: set i is `numbers[first[i] : first[i] + size[i]]`."""

    def __init__(self, sets: Iterable[Iterable[int]]):
        sets = [sorted(numbers) for numbers in sets]
        self.numbers = np.array([number for numbers in sets for number in numbers], np.int32)
        self.size = np.array([len(numbers) for numbers in sets], np.int64)
        self.first = np.cumsum(self.size) - self.size

    def members(self, sets: Int[np.ndarray, " set"]) -> tuple[Int[np.ndarray, " member"], Int[np.ndarray, " member"]]:
        """All numbers of some sets, set by set: for each number the index in `sets`, and the number."""
        size = self.size[sets]
        return np.repeat(np.arange(len(sets)), size), self.numbers[ranges(self.first[sets], size)]


class Lexicon:
    """Some lemmas, numbered in the given order, and all words that have one of them."""

    def __init__(self, lemmas: Sequence[str]):
        self.numbers = {word: number for number, word in enumerate(lemmas)}
        lemmas_of_form = {form: [number] for word, number in self.numbers.items() for form in forms_of(word)}
        for contraction, parts in CONTRACTIONS.items():
            if numbers := [self.numbers[word] for word in map(lemma, parts) if word in self.numbers]:
                lemmas_of_form[contraction] = numbers
        self._forms = pa.array(lemmas_of_form, pa.string())
        self._lemmas_of_form = NumberSets(lemmas_of_form.values())

    def occurrences(self, words: Words) -> Occurrences:
        """The occurrences of these lemmas among the words of a batch."""
        indices = pc.index_in(words.words, self._forms)
        places = np.flatnonzero(indices.is_valid().to_numpy(zero_copy_only=False))
        forms = np.frombuffer(indices.buffers()[1], np.int32)[places]
        form_places, lemmas = self._lemmas_of_form.members(forms)
        captions = words.captions[places[form_places]]
        return Occurrences(lemmas, captions, len(self.numbers), words.num_captions)


def key_step(num_things: int, num_captions: int) -> np.integer:
    """The factor for keys `thing * factor + caption` of pairs, in four bytes if they suffice."""
    step = max(num_captions, 1)
    return np.int32(step) if num_things * step < 2**31 else np.int64(step)


def split_keys(
    keys: Int[np.ndarray, " key"], step: np.integer
) -> tuple[Int[np.ndarray, " key"], Int[np.ndarray, " key"]]:
    """The thing and the caption of each key."""
    things = keys // step
    return things, keys - things * step


def distinct(keys: Int[np.ndarray, " key"]) -> Int[np.ndarray, " distinct"]:
    """The distinct keys in ascending order; it is fastest if they are nearly sorted."""
    keys = np.sort(keys, kind="stable")
    is_new = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=is_new[1:])
    return keys[is_new]


def ranges(starts: Int[np.ndarray, " range"], lengths: Int[np.ndarray, " range"]) -> Int[np.ndarray, " number"]:
    """The numbers start, start + 1, ..., start + length - 1 of each range in turn."""
    ends = np.cumsum(lengths)
    return np.arange(lengths.sum()) + np.repeat(starts - ends + lengths, lengths)
