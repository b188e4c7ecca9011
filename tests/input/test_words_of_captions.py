"""Words of captions, their counts and weights, against sets and sums written out."""

import math
import pickle

import numpy as np
import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.input.bag_of_words import BagOfWords, count_subwords, count_words
from cliptail_jax.input.tokenizer import END, START, Tokenizer

CAPTIONS = ("A red fox!", "a fox, a Fox", "a red sea", "two", "sea &amp; fox a")
CHUNKS = [CAPTIONS[:2], CAPTIONS[2:]]
WORDS = [{"a", "red", "fox", "!"}, {"a", "fox", ","}, {"a", "red", "sea"}, {"two"}, {"sea", "&", "fox", "a"}]


def direct_target(words: set[str], idf: bool = True) -> dict[str, float]:
    """w_c y_c / Σ w y, word by word in float64."""
    counts = {word: sum(word in caption for caption in WORDS) for word in words}
    weights = {word: (math.log(len(WORDS) / n) if idf else 1.0) for word, n in counts.items() if n}
    return {word: weight / sum(weights.values()) for word, weight in weights.items()}


def test_words_are_the_most_frequent_ones_in_a_fixed_order():
    bag = count_words(CHUNKS, 5, idf=True, context_length=8)
    assert bag._vocabulary == ("a", "fox", "red", "sea", "!")  # of those that one caption has, the first
    assert (bag.counts.tolist(), bag.captions) == ([4, 3, 2, 2, 1], 5)


@pytest.mark.parametrize("idf", [True, False])
def test_targets_are_those_of_the_formula(idf):
    bag = count_words(CHUNKS, 100, idf=idf, context_length=8)
    found = bag.targets(CAPTIONS)
    for row, words in zip(found, WORDS, strict=True):
        expected = direct_target(words, idf)
        np.testing.assert_allclose(row, [expected.get(word, 0.0) for word in bag._vocabulary], rtol=1e-6)


def test_subwords_are_the_tokens_between_start_and_end_each_once():
    bag = count_subwords(CHUNKS, 520, idf=True, context_length=12)
    tokenizer = bag._vocabulary
    symbols = {id_: symbol for symbol, id_ in tokenizer.vocabulary().items()}
    sets = [{symbols[id_] for id_ in row if id_} - {START, END} for row in tokenizer(CAPTIONS).tolist()]
    counts = {symbol: sum(symbol in of for of in sets) for symbol in symbols.values()}
    assert {symbols[id_]: n for id_, n in enumerate(bag.counts.tolist())} == counts
    assert "fox</w>" in set.union(*sets) and len(bag) == tokenizer.vocab_size
    ids = bag(CAPTIONS)
    assert [{symbols[id_] for id_ in row if id_ >= 0} for row in ids.tolist()] == sets
    np.testing.assert_allclose(bag.targets(CAPTIONS).sum(1), 1, rtol=1e-6)


def test_the_first_symbol_of_the_vocabulary_is_not_taken_for_padding():
    tokenizer = Tokenizer([], 8)
    assert tokenizer.vocabulary()["!"] == 0
    bag = BagOfWords(tokenizer, np.ones(tokenizer.vocab_size, int), 2, True, 8)
    assert bag(["!!", "!"])[:, :2].tolist() == [[0, 256], [256, -1]]


def test_unknown_words_and_those_of_all_captions_weigh_nothing():
    bag = count_words([["a fox", "a sea"]], 10, idf=True, context_length=8)
    assert not bag.targets(["a", "wolf", ""]).any()
    np.testing.assert_allclose(bag.targets(["a wolf fox"]), bag.targets(["fox"]))


def test_a_text_is_read_up_to_the_context():
    bag = count_words([["a b c d", "e"]], 10, idf=False, context_length=3)
    assert sorted(bag._vocabulary) == ["a", "b", "c", "e"] and bag(["e e e a"]).tolist() == [[3, -1, -1]]


@pytest.mark.parametrize("count", [count_words, count_subwords])
def test_a_bag_is_saved_and_pickled_whole(count, tmp_path):
    bag = count(CHUNKS, 520, idf=True, context_length=12)
    bag.save(tmp_path)
    for again in (BagOfWords.load(tmp_path), pickle.loads(pickle.dumps(bag))):
        np.testing.assert_array_equal(again(CAPTIONS), bag(CAPTIONS))
        np.testing.assert_array_equal(again.weights, bag.weights)


@pytest.mark.parametrize(
    "content, complaint",
    [
        ('{"words": ["a"], "counts": [1, 2], "captions": 3, "idf": true, "context_length": 4}', "1 words, but counts"),
        ('{"words": ["a"]}', "'counts'"),
        ("", "words.json"),
        (None, "no words at .*words.json"),
    ],
)
def test_a_file_that_is_damaged_or_missing_is_named(content, complaint, tmp_path):
    if content is not None:
        (tmp_path / "words.json").write_text(content)
    with pytest.raises(UserError, match=complaint):
        BagOfWords.load(tmp_path)
