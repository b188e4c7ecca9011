import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.concepts.templates import templates
from cliptail_jax.curation.captions import Captions, first_words, joined_words

NAMES = ("crane", "pickup truck")
OPENAI80 = templates("openai80")


def make_captions(records=range(8000), prompts=OPENAI80, words=None, seed=0, resample=False):
    records = np.asarray(records)
    return Captions(tuple(prompts), tuple((name,) for name in NAMES), records % 2, records, words, seed, resample)


def drawn(captions, epoch=0, rows=None):
    """Which template each row's caption was made from."""
    places = {template.format(name): t for t, template in enumerate(captions.templates) for name in NAMES}
    return np.array([places[text] for text in captions(range(len(captions.records)) if rows is None else rows, epoch)])


def test_class_name_with_braces_stands_as_it_is():
    captions = Captions(("a {}",), (("{0} {x}",),), np.zeros(1, int), np.zeros(1, int), None, 0, False)
    assert captions([0], 0) == ["a {0} {x}"]


def test_every_template_of_a_set_is_drawn_about_equally_often():
    times = np.bincount(drawn(make_captions()), minlength=80)
    chi_square = np.sum((times - 100) ** 2 / 100)
    assert 40 < chi_square < 130  # 79 degrees of freedom: one part in 10,000 lies beyond either


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
    all_captions, part = (drawn(make_captions(r, resample=True), epoch) for r in (range(8000), records))
    np.testing.assert_array_equal(part, all_captions[records])


def test_first_words_are_those_before_the_dose():
    texts = ["latin small  e\nacute", "red", "", " two words "]
    for kind in (pa.string(), pa.large_string()):
        assert first_words(pa.array(texts, kind), 2).to_pylist() == ["latin small", "red", "", "two words"]
        assert first_words(pa.array(texts, kind), 3000).to_pylist() == ["latin small e acute", "red", "", "two words"]


TABLE = pa.table(
    {
        "label": [0, 1, 0, 1],
        "title": ["  A crane\n", "Truck", None, ""],
        "tags": ["bird,\r\n\tgrey", None, "fog  lake", " \n "],
    }
)


def test_words_are_joined_in_the_given_order_with_single_spaces():
    assert joined_words(TABLE, ()) is None
    assert joined_words(TABLE, ("title", "tags")).to_pylist() == ["A crane bird, grey", "Truck", "fog lake", ""]
    assert joined_words(TABLE, ("tags", "title")).to_pylist() == ["bird, grey A crane", "Truck", "fog lake", ""]
    assert joined_words(TABLE, ("title",)).to_pylist() == ["A crane", "Truck", "", ""]
