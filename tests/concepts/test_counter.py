import collections
import functools
import pathlib
import pickle
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.concepts.class_lists import Concept, load_class_list
from cliptail_jax.concepts.counter import ConceptCounter
from cliptail_jax.concepts.splitting import DOTTED_I, KELVIN, split_captions
from cliptail_jax.concepts.tally import count_chunks
from cliptail_jax.concepts.word_counter import WordCounter
from cliptail_jax.formats import batches
from cliptail_jax.host.errors import UserError
from tests.concepts import direct_concepts

SHARED = pathlib.Path(__file__).parents[2].parent / "shared"
PETS = (
    Concept("dog", ("dog", "golden retriever")),
    Concept("cat or kitten"),
    Concept("bow", exclude=("tie", "arrow heads")),
    Concept("cannot fly"),
)

# Words that mean something to the rule, glued together in every way, and letters that lower-casing changes.
WORDS = (
    "dog dogs DOGS cat mice mouse us u cannot can not gonna wanna gon na bow tie glasses glass ties children".split()
)
SEPARATORS = ["", ", ", "日本", *" -\n\t\0éİ\u212aſßＡﬁΣ\ud800'🐕"]
TEXTS = st.lists(st.sampled_from(WORDS + SEPARATORS), max_size=12).map("".join) | st.text(max_size=20)
CAPTIONS = st.lists(st.none() | TEXTS, max_size=8)
PHRASES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)
CONCEPTS = st.builds(
    Concept,
    name=st.lists(PHRASES, min_size=1, max_size=3).map(" or ".join),
    synonyms=st.lists(PHRASES, max_size=3).map(tuple),
    exclude=st.just(()) | st.lists(PHRASES, max_size=2).map(tuple),
)
CLASS_LISTS = st.lists(CONCEPTS, min_size=1, max_size=6, unique_by=lambda concept: concept.name)
ARROW_TYPES = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()]


@functools.cache
def pets():
    return ConceptCounter(PETS)


@functools.cache
def word_counter():
    return WordCounter()


def ids(counter, captions):
    rows, concepts = counter.matches(captions)
    return [concepts[rows == row].tolist() for row in range(len(captions))]


def words_of(captions):
    return [
        (word, caption)
        for batch in batches.batches_of(captions)
        for words in [split_captions(batch)]
        for word, caption in zip(words.words.to_pylist(), words.captions.tolist())
    ]


@settings(deadline=None, max_examples=50)
@given(CLASS_LISTS, CAPTIONS)
def test_concepts_of_captions_are_those_of_the_direct_implementation(concepts, captions):
    counter, expected = ConceptCounter(concepts), list(direct_concepts.carried(concepts, captions))
    assert ids(counter, captions) == expected
    numbers = [sum(number in names for names in expected) for number in range(len(concepts))]
    assert list(counter.count(captions).items()) == [(c.name, n) for c, n in zip(concepts, numbers)]


@settings(deadline=None, max_examples=50)
@given(CAPTIONS, st.integers(1, 4))
def test_frequency_of_words_is_the_direct_one_and_adds_up_over_batches(captions, size):
    tally = count_chunks(word_counter(), (captions[begin : begin + size] for begin in range(0, len(captions), size)))
    expected = collections.Counter(word for caption in captions for word in direct_concepts.lemmas(caption))
    assert dict(zip(*(column.to_pylist() for column in tally.counts.columns))) == expected
    assert tally.captions == len(captions)


@settings(deadline=None)
@given(st.lists(st.none() | st.text(max_size=6), min_size=1, max_size=12), st.data())
def test_captions_are_the_same_however_they_come(captions, data):
    captions = [caption and caption.encode(errors="replace").decode() for caption in captions]
    part = slice(*sorted(data.draw(st.lists(st.integers(0, len(captions)), min_size=2, max_size=2))))
    expected = words_of(captions[part])
    array = pa.array(captions, pa.string())
    for type in ARROW_TYPES:
        assert words_of(array.cast(pa.binary()).cast(type)[part]) == expected
    assert words_of(array.dictionary_encode()[part]) == expected
    assert words_of(pa.chunked_array([array[: part.start], array[part.start :]])[part]) == expected
    assert words_of(np.array(captions, object)[part]) == expected
    assert words_of(iter(captions[part])) == expected


def test_bytes_under_a_null_caption_are_not_read():
    text, offsets = pa.py_buffer(b"dogcatcat"), pa.py_buffer(np.array([0, 3, 6, 9], np.int64))
    second_is_null = pa.py_buffer(bytes([0b101]))
    captions = pa.Array.from_buffers(pa.large_binary(), 3, [second_is_null, offsets, text])
    assert ids(pets(), captions) == [[0], [], [1]]


def test_captions_next_to_each_other_are_not_one_text():
    assert ids(pets(), ["do", "g", "ca", "t", "dog", "", "cat"]) == [[], [], [], [], [0], [], [1]]
    assert ids(pets(), ["golden", "retriever", "golden retriever"]) == [[], [], [0]]


def test_only_two_characters_beyond_ascii_have_letters_in_their_lower_case():
    """Those that `split_captions` replaces; all others become spaces, with every byte of theirs."""
    characters = [c for c in map(chr, range(128, 0x110000)) if re.search("[a-z]", c.lower())]
    assert {c.encode(): c.lower() for c in characters} == {DOTTED_I: "i\u0307", KELVIN: "k"}


def test_undecodable_bytes_are_spaces_and_their_captions_are_counted():
    captions = [b"a dog\xff", b"d\xe9og", b"\xc4", b"\xb0", "dög".encode(), b"\xe2\x84dog", None, b""]
    assert ids(pets(), captions) == [[0], [], [], [], [], [0], [], []]
    (batch,) = batches.batches_of(captions)
    assert pets().tally(batch).undecodable == 5


@pytest.mark.parametrize(("captions", "bytes_"), [(3, 10), (1 << 16, 1)])
def test_results_do_not_depend_on_the_size_of_batches(monkeypatch, captions, bytes_):
    texts = ["a dog", None, "cat and dog", "", "bow tie", "a dog of a size that no batch is made for"] * 3
    expected, sums = ids(pets(), texts), pets().count(texts)
    monkeypatch.setattr(batches, "MAX_CAPTIONS", captions)
    monkeypatch.setattr(batches, "MAX_BYTES", bytes_)
    assert ids(pets(), texts) == expected
    assert pets().count(texts) == sums
    assert count_chunks(pets(), [texts]).captions == len(texts)


def test_counter_pickles_and_needs_no_nltk_to_count():
    program = "import pickle, sys; counter = pickle.load(sys.stdin.buffer); print(counter.count(['dogs cannot fly']))"
    program += "; assert 'nltk' not in sys.modules"
    process = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(pets()), capture_output=True, check=True
    )
    assert eval(process.stdout) == {"dog": 1, "cat or kitten": 0, "bow": 0, "cannot fly": 1}


@pytest.mark.parametrize("captions", [["dog", 1], "a dog", pa.array([["dog"]])])
@pytest.mark.usefixtures("unchecked")
def test_captions_that_are_no_texts_are_an_error(captions):
    with pytest.raises(UserError, match="captions must be"):
        pets().count(captions)


@pytest.mark.parametrize(
    ("concepts", "message"),
    [
        ([], "class list is empty"),
        ([Concept("a dog"), Concept("cat"), Concept("a dog")], "'a dog' 2 times"),
        ([Concept("dog"), Concept("707-320")], "class '707-320' has no phrase"),
    ],
)
def test_bad_list_is_an_error(concepts, message):
    with pytest.raises(UserError, match=message):
        ConceptCounter(concepts)


@pytest.mark.parametrize(("name", "table"), [("imagenet1k", "imagenet"), ("places365", "places365"), ("cub", "cub")])
def test_counts_on_flickr8k_are_the_studys(name, table):
    captions = SHARED / "captions" / "flickr8k_20k.tsv"
    if not captions.exists():
        pytest.skip("no captions of Flickr8k beside the checkout")
    concepts = load_class_list(str(SHARED / "reference" / "vocabularies" / f"{name}.json"))
    counts = ConceptCounter(concepts).count(captions.read_text().splitlines()[1:])
    lines = (SHARED / "reference" / "concept_counts_flickr8k_20k" / f"{table}.tsv").read_text().splitlines()
    assert [f"{name}\t{count}" for name, count in counts.items()] == lines
