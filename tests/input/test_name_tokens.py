"""The tokens per word of class names, and the note where they go with class frequency."""

import numpy as np
import pytest

from cliptail_jax.input.name_tokens import splitting_note, tokens_per_word
from cliptail_jax.input.tokenizer import BYTE_SYMBOLS, train_tokenizer

NAMES = ("cat", "dog", "zebra", "okapi zebra")
FREQUENCY = np.array([900, 800, 2, 1])
SIZE = len(BYTE_SYMBOLS) + 2


def test_words_are_counted_without_the_marks_of_a_text():
    letters = train_tokenizer([], SIZE, context_length=20)
    np.testing.assert_array_equal(tokens_per_word(letters, NAMES), [3, 3, 5, 5])
    whole_words = train_tokenizer(NAMES, 2 * SIZE, context_length=20)
    np.testing.assert_array_equal(tokens_per_word(whole_words, NAMES), [1, 1, 1, 1])


@pytest.mark.parametrize(
    "captions, thirds", [(("cat", "dog") * 9, "1.00, 3.00, 5.00"), (NAMES * 9, "")], ids=["frequent", "all"]
)
def test_a_tokenizer_that_splits_rare_names_alone_is_noted(captions, thirds):
    tokenizer = train_tokenizer(captions, SIZE + 12, context_length=20)
    (*notes,) = splitting_note("animals:test", tokens_per_word(tokenizer, NAMES), FREQUENCY)
    assert [thirds in note for note in notes] == [True] * bool(thirds)
    assert splitting_note("animals:test", tokens_per_word(tokenizer, NAMES), None) == []
