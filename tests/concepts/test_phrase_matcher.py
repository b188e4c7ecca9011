"""One pass over all lemmas finds what a regular expression a lemma finds."""

import re

import numpy as np
import pyarrow as pa
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
