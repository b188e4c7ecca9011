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
        word_lemmas = {form: (word, None) for form, word in changed_words().items()}
        word_lemmas |= {contraction: tuple(map(lemma, parts)) for contraction, parts in CONTRACTIONS.items()}
        self._forms = pa.array(word_lemmas, pa.string())
        self._first, self._second = (pa.array(words, pa.string()) for words in zip(*word_lemmas.values()))

    def tally(self, batch: pa.LargeBinaryArray) -> Tally:
        """Counts one batch; add up the results of many."""
        lemmas, occurrences = self._occurrences(batch)
        return Tally(pa.table([lemmas, occurrences.frequency], schema=COUNTS), len(batch), count_undecodable(batch))

    def rarest(
        self, captions: CaptionColumn, names: Sequence[str], frequency: Int[np.ndarray, " word"]
    ) -> Int[np.ndarray, " caption"]:
        """The frequency of each caption's rarest lemma: 0 if the table lacks it, `NO_WORD` for a caption without words.

        Args:
            names: the lemmas of a table.
            frequency: the frequency of each of them.
        """
        table_names, frequency, minima = pa.array(names, pa.string()), np.append(frequency, 0), []
        for batch in batches_of(captions):
            lemmas, occurrences = self._occurrences(batch)
            lemma_frequency = frequency[pc.index_in(lemmas, table_names).fill_null(-1).to_numpy()]
            batch_minima = np.full(len(batch), np.iinfo(np.int64).max)
            np.minimum.at(batch_minima, occurrences.captions, lemma_frequency[occurrences.lemmas])
            minima.append(
                np.where(np.bincount(occurrences.captions, minlength=len(batch_minima)), batch_minima, NO_WORD)
            )
        return np.concatenate([np.zeros(0, np.int64), *minima])

    def find(self, captions: CaptionColumn, names: Sequence[str]) -> Int[np.ndarray, "2 occurrence"]:
        """The indices in `captions` and `names` of each pair of a caption and a lemma in it."""
        table_names, pairs, offset = pa.array(names, pa.string()), [np.zeros((2, 0), np.int64)], 0
        for batch in batches_of(captions):
            lemmas, occurrences = self._occurrences(batch)
            places = pc.index_in(lemmas, table_names).fill_null(-1).to_numpy()[occurrences.lemmas]
            pairs.append(np.stack([occurrences.captions + offset, places])[:, places >= 0])
            offset += len(batch)
        return np.concatenate(pairs, axis=1)

    def _occurrences(self, captions: pa.LargeBinaryArray) -> tuple[pa.StringArray, Occurrences]:
        """The lemmas of a batch of captions, and where they occur."""
        words = split_captions(captions)
        distinct_words = words.words.dictionary_encode()
        places = pc.index_in(distinct_words.dictionary, self._forms)
        first = pc.coalesce(self._first.take(places), distinct_words.dictionary)
        lemmas = pa.concat_arrays([first, self._second.take(places)]).dictionary_encode()  # null: no second lemma
        first, second = np.split(lemmas.indices.fill_null(-1).to_numpy(), 2)

        codes = distinct_words.indices.to_numpy()
        contractions = np.flatnonzero((second >= 0)[codes])
        occurrences = Occurrences(
            np.append(first[codes], second[codes[contractions]]),
            np.append(words.captions, words.captions[contractions]),
            len(lemmas.dictionary),
            words.num_captions,
        )
        return lemmas.dictionary, occurrences
