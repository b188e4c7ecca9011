import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.concepts.templates import templates
from cliptail_jax.curation.captions import Captions, joined_words
from cliptail_jax.errors import UserError

NAMES = ("crane", "pickup truck")
OPENAI80 = templates("openai80")


def make_captions(records=range(8000), prompts=OPENAI80, words=None, seed=0, resample=False):
    records = np.asarray(records)
    return Captions(tuple(prompts), tuple((name,) for name in NAMES), records % 2, records, words, seed, resample)


def drawn(captions, epoch=0, rows=None):
    """Which template each row's caption was made from."""
    places = {template.format(name): t for t, template in enumerate(captions.templates) for name in NAMES}
    return np.array([places[text] for text in captions(range(len(captions.records)) if rows is None else rows, epoch)])


def test_single_template_is_filled_with_each_rows_class_name():
    captions = make_captions(prompts=("a photo of a {}.",))
    assert captions([1, 0, 7], 0) == ["a photo of a pickup truck.", "a photo of a crane.", "a photo of a pickup truck."]


def test_class_name_with_braces_stands_as_it_is():
    captions = Captions(("a {}",), (("{0} {x}",),), np.zeros(1, int), np.zeros(1, int), None, 0, False)
    assert captions([0], 0) == ["a {0} {x}"]


def test_every_template_of_a_set_is_drawn_about_equally_often():
    times = np.bincount(drawn(make_captions()), minlength=80)
    chi_square = np.sum((times - 100) ** 2 / 100)
    assert 40 < chi_square < 130  # 79 degrees of freedom: one part in 10,000 lies beyond either


def test_both_classes_draw_the_same_templates_about_equally_often():
    of_record = drawn(make_captions())
    times = np.stack([np.bincount(of_record[c::2], minlength=80) for c in range(2)])
    assert np.sum((times[0] - times[1]) ** 2 / 100) < 130


def test_templates_are_drawn_by_the_seed_and_stay_the_same_in_every_epoch():
    first = drawn(make_captions(seed=3))
    for epoch in (0, 1, 50):
        np.testing.assert_array_equal(drawn(make_captions(seed=3), epoch), first)
    chance = np.mean(drawn(make_captions(seed=4)) == first)
    assert 0.005 < chance < 0.025  # one in 80


def test_resampling_draws_anew_each_epoch_and_the_same_again_in_another_run():
    captions = make_captions(resample=True)
    epochs = [drawn(captions, epoch) for epoch in range(3)]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert 0.005 < np.mean(epochs[i] == epochs[j]) < 0.025
    np.testing.assert_array_equal(drawn(make_captions(resample=True), 2), epochs[2])
    np.testing.assert_array_equal(drawn(make_captions(resample=False)), epochs[0])


@settings(deadline=None, max_examples=25)
@given(st.sets(st.integers(0, 7999), min_size=1, max_size=50), st.integers(0, 3))
def test_record_keeps_its_template_in_a_smaller_variant(records, epoch):
    records = sorted(records)
    whole, part = (drawn(make_captions(r, resample=True), epoch) for r in (range(8000), records))
    np.testing.assert_array_equal(part, whole[records])


def test_captions_of_some_rows_are_those_of_all_rows():
    captions = make_captions(words=pa.array([f"word{i}" for i in range(8000)]))
    all_rows = captions(range(8000), 0)
    rows = [7, 7999, 0, 7]
    assert captions(rows, 0) == [all_rows[row] for row in rows]


def test_words_follow_the_template_with_a_single_space():
    words = pa.array(["in the fog", ""])
    assert make_captions([0, 1], ("a {}",), words)([0, 1], 0) == ["a crane in the fog", "a pickup truck"]
    assert make_captions([0, 1], (), words)([0, 1], 0) == ["in the fog", ""]


TABLE = pa.table(
    {
        "label": [0, 1, 0, 1],
        "title": ["  A crane\n", "Truck", None, ""],
        "tags": ["bird,\r\n\tgrey", None, "fog  lake", " \n "],
    }
)


def test_words_are_joined_in_the_given_order_with_single_spaces():
    assert joined_words(TABLE, ("title", "tags")).to_pylist() == ["A crane bird, grey", "Truck", "fog lake", ""]
    assert joined_words(TABLE, ("tags", "title")).to_pylist() == ["bird, grey A crane", "Truck", "fog lake", ""]
    assert joined_words(TABLE, ("title",)).to_pylist() == ["A crane", "Truck", "", ""]


def test_words_of_a_table_in_pieces_are_those_of_the_whole():
    pieces = pa.concat_tables([TABLE.slice(0, 1), TABLE.slice(1, 3)])
    assert pieces["title"].num_chunks == 2
    assert joined_words(pieces, ("title", "tags")).equals(joined_words(TABLE, ("title", "tags")))


def test_no_words_are_asked_for_by_an_empty_list():
    assert joined_words(TABLE, ()) is None


def test_field_that_is_missing_or_no_text_is_an_error_that_lists_the_texts():
    for field in ("description", "label"):
        with pytest.raises(UserError, match=f"'{field}', which the source lacks; it has title, tags$"):
            joined_words(TABLE, ("title", field))
