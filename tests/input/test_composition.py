"""Batches that are composed by class: what an epoch uses, and that a batch depends on its step alone."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.config.training import CaptionOptions, Classes, Tail
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.composition import Composer, Composition, check_composition
from cliptail_jax.input.pipeline import num_steps_per_epoch
from tests.input.pictures import (
    assert_same_resumed_and_in_several_processes,
    batches_of,
    make_data,
    noisy,
    plain,
    varied_data,
)

LABELS = st.lists(st.integers(0, 7), min_size=1, max_size=120).map(
    np.array
)  # of up to eight classes, some without rows
BALANCED, DISTINCT = Composition(is_balanced=True), Composition(distinct=True)


def composed(labels, rule, batch_size, drop_last=False, seed=0):
    steps = num_steps_per_epoch(len(labels), batch_size, drop_last)
    return Composer(np.asarray(labels), rule, seed, batch_size, steps)


def check_epoch(labels, batches, batch_size, drop_last=False, may_be_short=False):
    """As many images as an epoch has otherwise, in batches of the same size but for one, each class's rows equally often."""
    images = np.concatenate(batches)
    steps = num_steps_per_epoch(len(labels), batch_size, drop_last)
    sizes = [len(batch) for batch in batches]
    assert len(sizes) == steps and max(sizes) <= batch_size
    if may_be_short:
        assert len(images) <= min(len(labels), steps * batch_size)
    else:
        assert len(images) == min(len(labels), steps * batch_size) and max(sizes) - min(sizes) <= 1
    uses = np.bincount(images % len(labels), minlength=len(labels))
    for label in np.unique(labels):
        class_uses = uses[labels == label]
        assert class_uses.max() - class_uses.min() <= 1
    assert len(np.unique(images)) == len(images)  # no pass has a row twice
    assert np.array_equal(np.sort(images // len(labels)), np.sort(np.concatenate([np.arange(n) for n in uses])))
    return uses


@given(LABELS, st.integers(1, 16), st.booleans(), st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_balanced_sampling_uses_each_class_equally_often_but_for_one_image(labels, batch_size, drop_last, epoch):
    if num_steps_per_epoch(len(labels), batch_size, drop_last):
        batches = composed(labels, BALANCED, batch_size, drop_last).epoch(epoch)
        check_epoch(labels, batches, batch_size, drop_last)
        nonempty_classes = np.unique(labels)
        counts = np.bincount(labels[np.concatenate(batches) % len(labels)], minlength=8)[nonempty_classes]
        assert counts.max() - counts.min() <= 1


def test_balanced_sampling_uses_rows_as_often_as_their_class_is_rare_and_puts_them_anywhere():
    """In expectation N / (C n_c) times, in each batch and slot alike."""
    labels = np.repeat([0, 1, 3], [20, 3, 1])
    compose = composed(labels, BALANCED, 6)
    epochs = [compose.epoch(epoch) for epoch in range(1500)]
    images = np.array(epochs) % len(labels)  # epoch, step, slot
    expected = 24 / (3 * np.bincount(labels))[labels]
    uses = np.array([np.bincount(epoch.ravel(), minlength=24) for epoch in images])
    np.testing.assert_allclose(uses.mean(0), expected, atol=0.06)
    shares = np.mean(labels[images] == 3, axis=0)
    np.testing.assert_allclose(shares, np.full((4, 6), 1 / 3), atol=0.05)


# The classes of a batch


def classes_of(labels, batches):
    """The number of images of each class in each batch."""
    return np.array([np.bincount(labels[batch % len(labels)], minlength=8) for batch in batches])


@given(LABELS, st.integers(1, 16), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_a_distinct_batch_has_each_class_as_evenly_as_there_can_be(labels, batch_size, drop_last, is_balanced):
    """A class is in as many batches as it has images or in all: the largest number of classes that batches have in sum."""
    if num_steps_per_epoch(len(labels), batch_size, drop_last):
        batches = composed(labels, Composition(is_balanced, distinct=True), batch_size, drop_last).epoch(0)
        uses = check_epoch(labels, batches, batch_size, drop_last)
        assert is_balanced or uses.max() == 1
        counts = classes_of(labels, batches)
        np.testing.assert_array_equal((counts > 0).sum(0), np.minimum(counts.sum(0), len(batches)))
        assert (counts.max(0) - counts.min(0) <= 1).all()


@given(LABELS, st.integers(1, 16), st.integers(1, 8), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=100)
def test_every_batch_has_so_many_classes_and_an_epoch_no_image_twice(labels, batch_size, k, drop_last, is_balanced):
    rule, frequency = Composition(is_balanced, classes=k), np.bincount(labels, minlength=8)
    if not (steps := num_steps_per_epoch(len(labels), batch_size, drop_last)):
        return
    try:
        check_composition(rule, frequency, batch_size, steps)
    except UserError:
        return
    batches = composed(labels, rule, batch_size, drop_last).epoch(0)
    uses = check_epoch(labels, batches, batch_size, drop_last, may_be_short=True)
    counts = classes_of(labels, batches)
    assert ((counts > 0).sum(1) == k).all()
    assert is_balanced or uses.max() == 1
    if not drop_last and not is_balanced:  # otherwise the number of images of a class is drawn
        assert (counts.sum(0)[frequency > 0] > 0).all()


@pytest.mark.parametrize("k, unused_share", [(2, 0.15), (20, 0)])
def test_long_tailed_classes_come_in_batches_of_so_many(k, unused_share):
    """Those of glyphs_lt; with few in a batch, a share of the images is not used."""
    frequency = np.round(500 * 0.01 ** (np.arange(100) / 99)).astype(int)
    labels = np.repeat(np.arange(100), frequency)
    batches = composed(labels, Composition(classes=k), 128).epoch(0)
    uses = check_epoch(labels, batches, 128, may_be_short=True)
    assert uses.max() == 1 and (1 - unused_share) * len(labels) <= uses.sum()
    classes = [np.unique(labels[batch]) for batch in batches]
    assert all(len(batch_classes) == k for batch_classes in classes)
    assert len({tuple(batch_classes) for batch_classes in classes}) == len(batches)
    counts = np.array([np.bincount(labels[batch], minlength=100) for batch in batches])
    deviations = [c[c > 0].std() / c[c > 0].mean() for c in counts.T]
    assert np.mean(deviations) < 0.35


@pytest.mark.parametrize("rule", [Composition(classes=3), DISTINCT])
def test_an_image_is_as_likely_in_every_batch_and_slot(rule):
    labels = np.repeat([0, 1, 2, 4], [12, 6, 4, 2])
    compose = composed(labels, rule, 6)
    images = np.array([compose.epoch(epoch) for epoch in range(1000)])  # epoch, step, slot
    np.testing.assert_array_equal(np.sort(images.reshape(1000, -1)), np.tile(np.arange(24), (1000, 1)))
    shares = (images[..., None] == np.arange(24)).mean(0)
    np.testing.assert_allclose(shares, np.full((4, 6, 24), 1 / 24), atol=5 * np.sqrt(1 / 24 / 1000))


@pytest.mark.parametrize(
    "rule, complaint",
    [
        (Composition(classes=5), "data.batch_classes=5 is larger than the 4 classes that have records"),
        (Composition(is_balanced=True, classes=4), "=4 is too large: .* for 3 of them in every batch of 3; set"),
        (Composition(classes=3), "is too large: the classes have enough images for 2 of them in every batch of 16"),
        (
            Composition(classes=1),
            "=1 is too small: the 3 batches .* cannot be filled .* all 4 classes .*; set it to 2 or more",
        ),
    ],
)
def test_a_number_of_classes_that_batches_cannot_have_is_refused(rule, complaint):
    with pytest.raises(UserError, match=complaint):
        check_composition(
            rule, np.array([30, 10, 0, 1, 1]), 3 if rule.is_balanced else 16, 14 if rule.is_balanced else 3
        )


# In the pipeline


RULES = [BALANCED, DISTINCT, Composition(classes=2), Composition(is_balanced=True, classes=2)]


@pytest.mark.parametrize("rule", [None, *RULES[:3]])
def test_batches_hold_images_with_their_labels_and_captions(rule):
    data = make_data(classes=Classes(names=("cat", "ant")), captions=CaptionOptions(words=("title",)))
    used_records = []
    numbers = lambda captions: np.array([int(caption.removeprefix("number ")) for caption in captions])  # noqa: E731
    for batch in batches_of(plain(30), data, numbers, composition=rule):
        filled = batch["mask"]
        records = batch["images"][filled][:, 3, 5, 0].astype(int)
        np.testing.assert_array_equal(batch["labels"][filled], [{2: 0, 0: 1}[r % 3] for r in records])
        np.testing.assert_array_equal(batch["text"][filled], records)
        used_records += records.tolist()
    assert len(used_records) == 3 * 20 and set(used_records) == {r for r in range(30) if r % 3 != 1}


@pytest.mark.parametrize("rule", RULES)
def test_composed_batches_are_the_same_resumed_and_in_several_processes(rule):
    load = functools.partial(batches_of, noisy(21), varied_data(), composition=rule)
    assert_same_resumed_and_in_several_processes(load)
    assert any(not np.array_equal(a["labels"], b["labels"]) for a, b in zip(load(seed=1), load()))


def test_an_image_that_an_epoch_uses_repeatedly_is_augmented_anew_each_time():
    """The first time as in an epoch without a rule."""
    data = make_data(shift=3, flip=True, tail=Tail(classes=1, shots=1))
    (first, *_), (balanced, *_) = (
        batches_of(noisy(60), data, composition=rule, batch_size=64, epochs=1) for rule in (None, BALANCED)
    )
    rare = np.argmin(np.bincount(first["labels"][first["mask"]]))
    first_images, balanced_images = (
        batch["images"][batch["mask"] & (batch["labels"] == rare)] for batch in (first, balanced)
    )
    assert len(first_images) == 1 and len(balanced_images) in (13, 14)
    assert len(np.unique(balanced_images, axis=0)) > 10
    assert any(np.array_equal(image, first_images[0]) for image in balanced_images)
