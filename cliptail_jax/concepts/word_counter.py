"""Counts the captions in which each word occurs, without a class list."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from cliptail_jax.concepts.lexicon import Occurrences
from cliptail_jax.concepts.splitting import count_undecodable, split_captions
from cliptail_jax.concepts.tally import COUNTS, Tally
from cliptail_jax.concepts.words import CONTRACTIONS, changed_words, lemma
from cliptail_jax.formats.batches import CaptionColumn, batches_of

NO_WORD = -1  # the frequency of the rarest word of a caption without words


class WordCounter:
    """Counts the captions in which each lemma occurs. It pickles, and needs WordNet only when it is made."""

    def __init__(self):
        """
        Raises:
            UserError: WordNet is missing.
        """
        changed = {form: (word, None) for form, word in changed_words().items()}
        changed |= {contraction: tuple(map(lemma, parts)) for contraction, parts in CONTRACTIONS.items()}
        self._changed = pa.array(changed, pa.string())
        self._first, self._second = (pa.array(words, pa.string()) for words in zip(*changed.values()))

    def tally(self, batch: pa.LargeBinaryArray) -> Tally:
        """Counts one batch; add up the results of many."""
        lemmas, occurrences = self._occurrences(batch)
        return Tally(pa.table([lemmas, occurrences.frequency], schema=COUNTS), len(batch), count_undecodable(batch))

    def rarest(
        self, captions: CaptionColumn, names: Sequence[str], frequency: Int[np.ndarray, " word"]
    ) -> Int[np.ndarray, " caption"]:
        """The frequency of each caption's rarest lemma: 0 if the table lacks it, `NO_WORD` for a caption without words.

        Args:
            names: the lemmas of the table.
            frequency: of each of them.
        """
        known, frequency, lowest = pa.array(names, pa.string()), np.append(frequency, 0), []
        for batch in batches_of(captions):
            lemmas, occurrences = self._occurrences(batch)
            counted = frequency[pc.index_in(lemmas, known).fill_null(-1).to_numpy()]
            of_batch = np.full(len(batch), np.iinfo(np.int64).max)
            np.minimum.at(of_batch, occurrences.captions, counted[occurrences.lemmas])
            lowest.append(np.where(np.bincount(occurrences.captions, minlength=len(of_batch)), of_batch, NO_WORD))
        return np.concatenate([np.zeros(0, np.int64), *lowest])

    def find(self, captions: CaptionColumn, names: Sequence[str]) -> Int[np.ndarray, "2 occurrence"]:
        """The indices in `captions` and `names` of each pair of a caption and a lemma in it."""
        known, found, before = pa.array(names, pa.string()), [np.zeros((2, 0), np.int64)], 0
        for batch in batches_of(captions):
            lemmas, occurrences = self._occurrences(batch)
            places = pc.index_in(lemmas, known).fill_null(-1).to_numpy()[occurrences.lemmas]
            found.append(np.stack([occurrences.captions + before, places])[:, places >= 0])
            before += len(batch)
        return np.concatenate(found, axis=1)

    def _occurrences(self, captions: pa.LargeBinaryArray) -> tuple[pa.StringArray, Occurrences]:
        """The lemmas of a batch of captions, and where they occur."""
        words = split_captions(captions)
        occurring = words.words.dictionary_encode()
        changed = pc.index_in(occurring.dictionary, self._changed)
        first = pc.coalesce(self._first.take(changed), occurring.dictionary)
        lemmas = pa.concat_arrays([first, self._second.take(changed)]).dictionary_encode()  # null: no second lemma
        first, second = np.split(lemmas.indices.fill_null(-1).to_numpy(), 2)

        codes = occurring.indices.to_numpy()
        more = np.flatnonzero((second >= 0)[codes])
        occurrences = Occurrences(
            np.append(first[codes], second[codes[more]]),
            np.append(words.captions, words.captions[more]),
            len(lemmas.dictionary),
            words.num_captions,
        )
        return lemmas.dictionary, occurrences
