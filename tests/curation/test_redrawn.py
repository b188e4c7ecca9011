"""Variants whose epochs have other images of the same classes."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliptail_jax.config.training import CaptionOptions, Profile, check_data
from cliptail_jax.curation.redrawn import Pool
from cliptail_jax.curation.variant import make_variant
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.epochs import LastEpochs
from tests.curation.zoo import variant_of
from tests.input.pictures import batches_of, make_data, plain


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 20)), min_size=1, max_size=5), st.integers(0, 9))
def test_an_epoch_has_different_records_of_each_class(sizes, epoch):
    labels = np.repeat(np.arange(len(sizes)), [rows for rows, _ in sizes])
    pool_labels = np.repeat(np.arange(len(sizes)), [rows + further for rows, further in sizes])
    pool = Pool(1000 + np.arange(len(pool_labels)), pool_labels, seed=3)
    drawn = pool.draw(labels, epoch)
    np.testing.assert_array_equal(pool_labels[drawn - 1000], labels)
    assert len(set(drawn.tolist())) == len(drawn)
    np.testing.assert_array_equal(drawn, LastEpochs(functools.partial(pool.draw, labels))(epoch))


def test_all_records_of_a_class_are_drawn_about_equally_often():
    pool = Pool(np.arange(40), np.repeat([0, 1], 20), seed=0)
    uses = np.sum([np.bincount(pool.draw(np.array([0] * 10 + [1]), e), minlength=40) for e in range(2000)], axis=0)
    np.testing.assert_allclose(uses[:20], 1000, atol=100)
    np.testing.assert_allclose(uses[20:], 100, atol=40)


DATA = make_data(profile=Profile("exponential", ratio=4.0, redrawn=True))  # 24, 12 and 6 of 24 pictures of each class


def test_batches_have_the_classes_of_the_rows_and_other_images_in_each_epoch():
    source = plain(72)
    variant = make_variant(source, DATA)
    records_in = LastEpochs(functools.partial(variant.pool.draw, variant.labels))
    load = functools.partial(batches_of, source, DATA, batch_size=14, records_in=records_in)
    batches = load()
    assert sorted(variant.class_frequency) == [6, 12, 24]
    labels, images, mask = (np.concatenate([batch[key] for batch in batches]) for key in ("labels", "images", "mask"))
    records = images[:, 0, 0, 0].astype(int)  # the colour of a picture
    np.testing.assert_array_equal(records[mask] % 3, labels[mask])
    epochs = np.split(records[mask], 3)
    assert all(len(set(epoch.tolist())) == len(epoch) == 42 for epoch in epochs)
    assert set(epochs[0].tolist()) != set(epochs[1].tolist())
    rarest = variant.class_frequency.argmin()
    assert len({*records[mask & (labels == rarest)].tolist()}) > 6
    for start in (0, 2, 4, 8):
        for a, b in zip(load(start=start), batches[start:], strict=True):
            np.testing.assert_array_equal(a["images"], b["images"])


def test_redrawn_images_change_the_fingerprint():
    profile = {"name": "exponential", "ratio": 4.0}
    variants = [variant_of(profile=profile | {"redrawn": is_redrawn}) for is_redrawn in (True, False)]
    assert variants[0].fingerprint() != variants[1].fingerprint()
    np.testing.assert_array_equal(variants[0].class_frequency, variants[1].class_frequency)


@pytest.mark.parametrize("changes", [
    {"profile": Profile(redrawn=True)},
    {"profile": Profile("zipf", redrawn=True), "captions": CaptionOptions(words=("title",))},
])  # fmt: skip
def test_redrawn_images_need_a_profile_and_captions_that_fit_all_images_of_a_class(changes):
    with pytest.raises(UserError, match="data.profile.redrawn draws other images"):
        check_data(make_data(**changes))
