"""Counts the captions in which each word occurs, without a vocabulary."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cliptail_jax.concepts.batches import CaptionBatch
from cliptail_jax.concepts.lexicon import Occurrences
from cliptail_jax.concepts.splitting import count_undecodable, split_captions
from cliptail_jax.concepts.tally import COUNTS, Tally, sums_by
from cliptail_jax.concepts.words import CONTRACTIONS, changed_words, lemma


class WordCounter:
    """Counts the captions in which each lemma occurs. It pickles, and needs no WordNet once it is made."""

    def __init__(self):
        """
        Raises:
            UserError: WordNet is missing.
        """
        changed = {form: (word, None) for form, word in changed_words().items()}
        changed |= {contraction: tuple(map(lemma, parts)) for contraction, parts in CONTRACTIONS.items()}
        self._changed = pa.array(changed, pa.string())
        self._first, self._second = (pa.array(words, pa.string()) for words in zip(*changed.values()))

    def tally(self, batch: CaptionBatch) -> Tally:
        """Counts one batch, for sums over many."""
        words = split_captions(batch.captions)
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
        weights = None if batch.weights is None else batch.weights[occurrences.captions]
        counts = sums_by(occurrences.lemmas, len(lemmas.dictionary), weights)
        return Tally(
            pa.table([lemmas.dictionary, counts], schema=COUNTS), len(batch.captions), count_undecodable(batch.captions)
        )
