import itertools
import re
import string

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.tokenize import NLTKWordTokenizer, TreebankWordTokenizer

from cliptail_jax.concepts.class_lists import Concept
from cliptail_jax.concepts.phrase_matcher import PhraseMatcher, word_characters
from cliptail_jax.concepts.tally import count_chunks
from cliptail_jax.concepts.word_counter import NO_WORD, WordCounter
from cliptail_jax.concepts.words import (
    CONTRACTIONS,
    cleaned_words,
    excluded_by,
    forms_of,
    irregular_forms,
    lemma,
    lemmas_of,
    phrases_of,
)
from tests.concepts.direct_concepts import LEMMATIZER

PIECES = [*CONTRACTIONS, *itertools.chain(*CONTRACTIONS.values()), "t", "d", "ye", "is", "was", "more", "n", "whaddya"]


@pytest.mark.parametrize("tokenizer", [TreebankWordTokenizer(), NLTKWordTokenizer()])
@settings(deadline=None)
@given(st.text() | st.lists(st.one_of(st.sampled_from(PIECES), st.text("acdgimnotwy ", max_size=8))).map("".join))
def test_words_are_those_of_the_treebank_tokenizers_in_the_cleaned_text(tokenizer, text):
    clean_text = "".join(c if c in string.ascii_lowercase + " " else " " for c in text.lower())
    assert cleaned_words(text) == tokenizer.tokenize(clean_text)


def test_lemma_is_the_shortest_noun_of_wordnet_or_the_word_itself():
    lemmas = {"dogs": "dog", "mice": "mouse", "us": "u", "glasses": "glass", "running": "running", "flickrs": "flickrs"}
    assert {word: lemma(word) for word in lemmas} == lemmas


def test_forms_are_all_words_with_that_lemma():
    """Every noun of one word, and what could be a form of it or of an irregular one: each is in its own lemma's forms."""
    endings = ("", "s", "es", "ses", "ves", "xes", "zes", "ches", "shes", "men", "ies", "man", "i")
    nouns = "dog church wolf woman city us glass ox u axis bus gas wish quiz x".split()
    stems = {noun[: len(noun) - length] for noun in nouns for length in range(3) if len(noun) > length}
    words = {stem + ending for stem in stems for ending in endings}
    words |= {word for form, lemmas in irregular_forms().items() for word in (form, *lemmas)}
    words = {word for word in words if word and set(word) <= set(string.ascii_lowercase)} - CONTRACTIONS.keys()
    lemmatize = LEMMATIZER.lemmatize
    assert [word for word in sorted(words) if word not in forms_of(lemmatize(word))] == []
    assert all(lemmatize(form) == word for word in ("dog", "axis", "u") for form in forms_of(word))


def test_word_that_lemmatising_leaves_alone_is_its_only_form():
    assert forms_of("flickrs") == {"flickrs"}
    assert "us" not in forms_of("us")  # its own lemma is u
    assert forms_of("gonna") == set()  # the tokeniser leaves no such word


@pytest.mark.parametrize(
    ("concept", "phrases"),
    [
        (Concept("Mountain Bikes or all-terrain bike (off/on road or trail)"), {"bike mountain", "all bike terrain"}),
        (Concept("lake / sea/ocean"), {"lake", "ocean sea"}),
        (Concept("color orange"), {"color orange"}),
        (Concept("ram (adult (male) sheep)"), {"ram"}),
        (Concept("crane", ("crane birds", "Crane (bird)")), {"bird crane", "crane"}),
        (Concept("either", ("this or that",)), {"or that this"}),
        (Concept("747 or 日本 or jet"), {"jet"}),
        (Concept("707-320"), set()),
    ],
)
def test_phrases_are_the_synonyms_or_else_the_parts_of_the_name_without_parentheses(concept, phrases):
    assert {" ".join(sorted(phrase)) for phrase in phrases_of(concept)} == phrases


def test_any_word_of_an_excluded_phrase_excludes():
    assert excluded_by(Concept("ram", exclude=("random access", "chips", "!"))) == {"random", "access", "chip"}
    assert excluded_by(Concept("ram")) == set()


TRAINING = ["two dogs", "A dog, a cat", "cats cannot see", "the dog"]


@pytest.fixture(scope="module")
def counter():
    return WordCounter()


def test_the_rarest_word_is_the_lemma_that_fewest_captions_have(counter):
    tally = count_chunks(counter, [TRAINING[:2], TRAINING[2:]])
    names, frequency = tally.counts["name"].to_pylist(), tally.counts["count"].to_numpy()
    captions = ["dogs", "a dog and a cat", "Cats!", "cannot", "dog zebra", "", "123 你好", "the cat", *TRAINING]
    rarest = counter.rarest(captions, names, frequency)
    captions_of = lambda word: sum(word in lemmas_of(caption) for caption in TRAINING)  # noqa: E731
    expected = [min(map(captions_of, lemmas_of(caption)), default=NO_WORD) for caption in captions]
    assert rarest.tolist() == expected
    assert rarest[:7].tolist() == [3, 0, 2, 1, 0, NO_WORD, NO_WORD]


def test_without_training_words_every_word_is_unknown(counter):
    no_words = np.zeros(0, np.int64)
    assert counter.rarest(["a dog", ""], [], no_words).tolist() == [0, NO_WORD]
    assert counter.rarest([], [], no_words).tolist() == []


def test_lemmas_of_a_list_are_found_once_in_each_caption_that_has_them(counter, monkeypatch):
    monkeypatch.setattr("cliptail_jax.formats.batches.MAX_CAPTIONS", 3)
    captions = [*TRAINING, "dog dogs", "", None, "zebra"]
    names = ["cat", "dog", "not", "emu"]
    expected = [
        (i, names.index(word)) for i, text in enumerate(captions) for word in {*lemmas_of(text or "")} & {*names}
    ]
    assert sorted(zip(*counter.find(captions, names).tolist())) == sorted(expected)
    assert counter.find([], names).shape == counter.find(["zebra"], names).shape == (2, 0)


LEMMAS = {"ai": [0], "great dane": [1], "dane": [2, 3], "jack-o'-lantern": [4], "a": [5], "crane": [6, 7], "été": [8]}
LETTERS = ["ai", "great", "dane", "jack-o'-lantern", "crane", "été", *" -a_sé9.\tß中"]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(LETTERS), max_size=8).map("".join), max_size=6))
def test_matches_are_those_of_one_regular_expression_a_lemma(texts):
    expected = {
        (row, c)
        for row, text in enumerate(texts)
        for lemma, classes in LEMMAS.items()
        if re.search(rf"(?<!\w){re.escape(lemma)}(?!\w)", text)
        for c in classes
    }
    rows, classes = PhraseMatcher(LEMMAS).matches(pa.array(texts, pa.string()))
    assert list(zip(rows.tolist(), classes.tolist())) == sorted(expected)


def test_blocks_are_joined(monkeypatch):
    monkeypatch.setattr("cliptail_jax.concepts.phrase_matcher.BLOCK", 2)
    rows, classes = PhraseMatcher({"x": [0]}).matches(pa.array(["x", "", "y x", "x", "z"]))
    assert rows.tolist() == [0, 2, 3] and classes.tolist() == [0, 0, 0]


def test_word_characters_are_those_of_regular_expressions():
    codepoints = [*range(0x3000), *np.random.default_rng(0).integers(0x110000, size=20000)]
    assert all(word_characters()[c] == bool(re.match(r"\w", chr(c))) for c in codepoints)


NESTED = {"arrow": [0], "arrow down": [1], "down arrow": [1], "arrow down circle": [2], "circle": [3], "folder": [4]}


def starts(phrase, text):
    """Where a phrase begins in a text, also where it overlaps itself."""
    return [match.start() for match in re.finditer(rf"(?=\b{phrase}\b)", text)]


@settings(deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["arrow", "down", "circle", "folder", "arrows"]), max_size=5).map(" ".join), max_size=6
    )
)
def test_longest_phrases_are_those_inside_no_other_and_several_classes_are_none(texts):
    expected = []
    for row, text in enumerate(texts):
        places = [(start, start + len(phrase), c) for phrase, [c] in NESTED.items() for start in starts(phrase, text)]
        concepts = {c for a, b, c in places if not any(x <= a and b <= y and (x, y) != (a, b) for x, y, _ in places)}
        expected += [(row, *concepts)] if len(concepts) == 1 else []
    rows, classes = PhraseMatcher(NESTED, longest=True).matches(pa.array(texts, pa.string()))
    assert list(zip(rows.tolist(), classes.tolist())) == expected
