"""Numbered lemmas, and their occurrences in a batch of captions."""

from collections.abc import Sequence

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
        # NumPy's stable sort is fastest for 16-bit numbers, and then for what is nearly sorted.
        by_lemma = np.argsort(lemmas.astype(np.min_scalar_type(num_lemmas)), kind="stable")
        self._keys = distinct((lemmas * self._step + captions)[by_lemma])
        self.lemmas, self.captions = split_keys(self._keys, self._step)
        self.frequency = np.bincount(self.lemmas, minlength=num_lemmas)
        self.first = np.cumsum(self.frequency) - self.frequency

    def include(
        self, lemmas: Int[np.ndarray, " some"], captions: Int[np.ndarray, " some"]
    ) -> Bool[np.ndarray, " some"]:
        """Whether lemma i occurs in caption i."""
        keys = lemmas * self._step + captions
        no_key = self._keys.dtype.type(-1)  # comes after the last one
        return np.append(self._keys, no_key)[np.searchsorted(self._keys, keys)] == keys


class Lexicon:
    """Some lemmas, numbered in the given order, and all words that have one of them."""

    def __init__(self, lemmas: Sequence[str]):
        self.numbers = {word: number for number, word in enumerate(lemmas)}
        lemmas_of_form = {form: [number] for word, number in self.numbers.items() for form in forms_of(word)}
        for contraction, parts in CONTRACTIONS.items():
            if known := [self.numbers[word] for word in map(lemma, parts) if word in self.numbers]:
                lemmas_of_form[contraction] = known
        forms = sorted(lemmas_of_form, key=lambda form: len(lemmas_of_form[form]))  # those of two words last
        self._forms = pa.array(forms, pa.string())
        self._lemma = np.array([lemmas_of_form[form][0] for form in forms], np.int32)
        self._second_lemma = np.array(
            [lemmas_of_form[form][1] for form in forms if len(lemmas_of_form[form]) == 2], np.int32
        )

    def occurrences(self, words: Words) -> Occurrences:
        """Where these lemmas occur among the words of a batch."""
        found = pc.index_in(words.words, self._forms)
        known = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        forms, captions = np.frombuffer(found.buffers()[1], np.int32)[known], words.captions[known]
        lemmas = self._lemma[forms]
        num_single = len(self._forms) - len(self._second_lemma)
        if len(split := np.flatnonzero(forms >= num_single)):
            lemmas = np.append(lemmas, self._second_lemma[forms[split] - num_single])
            captions = np.append(captions, captions[split])
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
    new = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=new[1:])
    return keys[new]
