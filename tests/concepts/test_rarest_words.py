import numpy as np
import pytest

from cliptail_jax.concepts.tally import count_chunks
from cliptail_jax.concepts.word_counter import NO_WORD, WordCounter
from cliptail_jax.concepts.words import lemmas_of

TRAINING = ["two dogs", "A dog, a cat", "cats cannot see", "the dog"]


@pytest.fixture(scope="module")
def counter():
    return WordCounter()


def test_the_rarest_word_is_the_lemma_that_fewest_captions_have(counter):
    counted = count_chunks(counter, [TRAINING[:2], TRAINING[2:]])
    names, frequency = counted.counts["name"].to_pylist(), counted.counts["count"].to_numpy()
    captions = ["dogs", "a dog and a cat", "Cats!", "cannot", "dog zebra", "", "123 你好", "the cat", *TRAINING]
    found = counter.rarest(captions, names, frequency)
    captions_of = lambda word: sum(word in lemmas_of(caption) for caption in TRAINING)  # noqa: E731
    expected = [min(map(captions_of, lemmas_of(caption)), default=NO_WORD) for caption in captions]
    assert found.tolist() == expected
    assert found[:7].tolist() == [3, 0, 2, 1, 0, NO_WORD, NO_WORD]


def test_without_training_words_every_word_is_unknown(counter):
    empty = np.zeros(0, np.int64)
    assert counter.rarest(["a dog", ""], [], empty).tolist() == [0, NO_WORD]
    assert counter.rarest([], [], empty).tolist() == []


def test_lemmas_of_a_list_are_found_once_in_each_caption_that_has_them(counter, monkeypatch):
    monkeypatch.setattr("cliptail_jax.concepts.batches.MAX_CAPTIONS", 3)
    captions = [*TRAINING, "dog dogs", "", None, "zebra"]
    names = ["cat", "dog", "not", "emu"]
    expected = [
        (i, names.index(word)) for i, text in enumerate(captions) for word in {*lemmas_of(text or "")} & {*names}
    ]
    assert sorted(zip(*counter.find(captions, names).tolist())) == sorted(expected)
    assert counter.find([], names).shape == counter.find(["zebra"], names).shape == (2, 0)
