"""One pass over all lemmas finds what a regular expression a lemma finds."""

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.concepts.phrase_matcher import PhraseMatcher, word_characters

LEMMAS = {"ai": [0], "great dane": [1], "dane": [2, 3], "jack-o'-lantern": [4], "a": [5], "crane": [6, 7], "été": [8]}
PIECES = ["ai", "great", "dane", "jack-o'-lantern", "crane", "été", *" -a_sé9.\tß中"]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), max_size=6))
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
    some = [*range(0x3000), *np.random.default_rng(0).integers(0x110000, size=20000)]
    assert all(word_characters()[c] == bool(re.match(r"\w", chr(c))) for c in some)


NESTED = {"arrow": [0], "arrow down": [1], "down arrow": [1], "arrow down circle": [2], "circle": [3], "folder": [4]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("arrow", 0),
        ("arrow down", 1),
        ("arrow down circle", 2),
        ("big arrow down", 1),
        ("arrow down down arrow", 1),  # two phrases of a class
        ("arrow circle", None),  # two unrelated classes
        ("arrow down folder", None),
        ("arrow up arrow down", None),
        ("down arrow down", 1),  # phrases that overlap
        ("arrows down", None),
        ("", None),
    ],
)
def test_longest_phrase_is_the_class_and_several_classes_are_none(text, expected):
    rows, classes = PhraseMatcher(NESTED, longest=True).matches(pa.array(["folder", text]))
    assert list(zip(rows.tolist(), classes.tolist())) == [(0, 4), *([(1, expected)] if expected is not None else [])]


def starts(phrase, text):
    """Where a phrase begins in a text, also where it overlaps itself."""
    return [match.start() for match in re.finditer(rf"(?=\b{phrase}\b)", text)]


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["arrow", "down", "circle", "folder"]), max_size=5).map(" ".join), max_size=6))
def test_longest_phrases_are_those_inside_no_other(texts):
    expected = []
    for row, text in enumerate(texts):
        places = [(start, start + len(phrase), c) for phrase, [c] in NESTED.items() for start in starts(phrase, text)]
        named = {c for a, b, c in places if not any(x <= a and b <= y and (x, y) != (a, b) for x, y, _ in places)}
        expected += [(row, *named)] if len(named) == 1 else []
    rows, classes = PhraseMatcher(NESTED, longest=True).matches(pa.array(texts, pa.string()))
    assert list(zip(rows.tolist(), classes.tolist())) == expected
