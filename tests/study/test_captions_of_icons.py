"""The tables of texts and the regression of configs/study/captions.py."""

import numpy as np
import pytest

from cliptail_jax.host.errors import UserError
from configs.study.analyses.caption_slopes import slopes
from configs.study.analyses.caption_tables import drawn_share, parts_of

CLASSES_OF = {"person": [0], "user": [0], "arrow": [1], "arrow down": [2]}


@pytest.mark.parametrize(
    "caption, label, parts",
    [
        ("user", 0, ("user", "")),
        ("user minus", 0, ("user", "minus")),
        ("circle arrow down", 2, ("arrow down", "circle")),
        ("person user", 0, ("person", "user")),
    ],
)
def test_a_caption_is_the_longest_phrase_of_its_class_and_further_words(caption, label, parts):
    assert parts_of(caption, label, CLASSES_OF) == parts


def test_a_caption_without_a_phrase_of_its_class_is_refused():
    with pytest.raises(UserError, match="the caption 'arrow' has no phrase of its class"):
        parts_of("arrow", 0, CLASSES_OF)


def test_a_share_of_all_records_of_a_class_is_drawn_from_those_with_further_words():
    labels = np.repeat([0, 1], 10)
    has_words = np.r_[np.ones(10, bool), np.zeros(9, bool), True]
    is_drawn = drawn_share(labels, has_words, 0.2)
    assert is_drawn[labels == 0].sum() == 2 and is_drawn[labels == 1].tolist() == [False] * 9 + [True]


def test_slopes_are_those_that_drew_the_numbers_of_right_images():
    rng = np.random.default_rng(0)
    terms = rng.uniform(0, 2, size=(2, 400, 2))  # as of a mirrored pair, whose classes have other frequencies in each
    examples = np.full((2, 400), 500)
    examples[:, 0] = 0
    chances = 1 / (1 + np.exp(-(terms @ [0.8, -1.5])))
    texts = slopes(terms, rng.binomial(examples, chances), examples)
    assert [float(text.split()[0]) for text in texts] == pytest.approx([0.8, -1.5], abs=0.05)
