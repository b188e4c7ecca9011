"""Batches that are composed by class: what an epoch uses, and that a batch depends on its step alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_pipeline import assert_same, batches_of, make_data, noisy, plain, varied_data

from cliptail_jax.datasets.source import open_source
from cliptail_jax.input.composition import Composer, Composition, rounded
from cliptail_jax.input.pipeline import num_steps_per_epoch

LABELS = st.lists(st.integers(0, 7), min_size=1, max_size=120).map(
    np.array
)  # of up to eight classes, some without rows
BALANCED = Composition(balanced=True)


def composed(labels, rule, batch_size, drop_last=False, seed=0):
    steps = num_steps_per_epoch(len(labels), batch_size, drop_last)
    return Composer(np.asarray(labels), rule, seed, batch_size, steps)


def check_epoch(labels, batches, batch_size, drop_last=False):
    """As many images as an epoch has otherwise, in batches of the same size but for one, each class's rows equally often."""
    images = np.concatenate(batches)
    steps = num_steps_per_epoch(len(labels), batch_size, drop_last)
    assert len(images) == min(len(labels), steps * batch_size) and len(batches) == steps
    sizes = [len(batch) for batch in batches]
    assert max(sizes) <= batch_size and max(sizes) - min(sizes) <= 1
    uses = np.bincount(images % len(labels), minlength=len(labels))
    for label in np.unique(labels):
        of_class = uses[labels == label]
        assert of_class.max() - of_class.min() <= 1
    assert len(np.unique(images)) == len(images)  # no pass has a row twice
    assert np.array_equal(np.sort(images // len(labels)), np.sort(np.concatenate([np.arange(n) for n in uses])))
    return uses


@given(LABELS, st.integers(1, 16), st.booleans(), st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_balanced_sampling_uses_each_class_equally_often_but_for_one_image(labels, batch_size, drop_last, epoch):
    if num_steps_per_epoch(len(labels), batch_size, drop_last):
        batches = composed(labels, BALANCED, batch_size, drop_last).epoch(epoch)
        check_epoch(labels, batches, batch_size, drop_last)
        present = np.unique(labels)
        counts = np.bincount(labels[np.concatenate(batches) % len(labels)], minlength=8)[present]
        assert counts.max() - counts.min() <= 1


def test_balanced_sampling_uses_rows_as_often_as_their_class_is_rare_and_puts_them_anywhere():
    """In expectation N / (C n_c) times, in each batch and slot alike."""
    labels = np.repeat([0, 1, 3], [20, 3, 1])
    epochs = [composed(labels, BALANCED, 6).epoch(epoch) for epoch in range(1500)]
    images = np.array(epochs) % len(labels)  # epoch, step, slot
    expected = 24 / (3 * np.bincount(labels))[labels]
    uses = np.array([np.bincount(epoch.ravel(), minlength=24) for epoch in images])
    np.testing.assert_allclose(uses.mean(0), expected, atol=0.06)
    shares = np.mean(labels[images] == 3, axis=0)
    np.testing.assert_allclose(shares, np.full((4, 6), 1 / 3), atol=0.05)


@given(st.lists(st.floats(0, 9), min_size=1, max_size=9), st.integers(0, 2**32))
def test_rounding_leaves_a_neighbouring_number_and_the_sum(values, seed):
    values = np.array(values)
    values[-1] += np.ceil(values.sum()) - values.sum()
    total = round(values.sum())
    found = rounded(values, total, np.random.default_rng(seed))
    assert found.sum() == total and (np.abs(found - values) < 1).all() and (found >= 0).all()


def test_rounding_has_the_values_for_expectations():
    values, rng = np.array([0.2, 3.0, 1.7, 0.5, 0.6]), np.random.default_rng(0)
    np.testing.assert_allclose(np.mean([rounded(values, 6, rng) for _ in range(4000)], axis=0), values, atol=0.03)


# In the pipeline


RULES = [BALANCED]


def loaded(rule, source=None, data=None, **options):
    source, data = source or noisy(21), data or varied_data()
    return batches_of(source, data, composition=rule, **options)


@pytest.mark.parametrize("rule", RULES)
def test_composed_batches_hold_their_images_with_their_labels(rule):
    data = make_data()
    data.classes.names = ("cat", "ant")
    seen = []
    for batch in batches_of(plain(30), data, composition=rule):
        filled = batch["mask"]
        records = batch["images"][filled][:, 3, 5, 0].astype(int)
        np.testing.assert_array_equal(batch["labels"][filled], [{2: 0, 0: 1}[r % 3] for r in records])
        seen += records.tolist()
    assert len(seen) == 3 * 20 and set(seen) == {r for r in range(30) if r % 3 != 1}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("start", [1, 4, 8])
def test_composed_batches_are_the_same_resumed_and_in_several_processes(rule, start):
    whole = loaded(rule)
    assert_same(loaded(rule, start=start), whole[start:])
    parts = [loaded(rule, slots=slice(first, first + 4)) for first in (0, 4)]
    joined = [{name: np.concatenate([part[name] for part in step]) for name in step[0]} for step in zip(*parts)]
    assert_same(joined, whole)
    other = loaded(rule, seed=1)
    assert any(not np.array_equal(a["labels"], b["labels"]) for a, b in zip(other, whole))


@pytest.mark.parametrize("rule", RULES)
def test_worker_processes_compose_the_same_batches(rule, glyphs_dir):
    data = varied_data(image_size=32, eval_resize=32, cache=True, n=40)
    source = open_source("glyphs", str(glyphs_dir), "train")
    alone = loaded(rule, source, data, batch_size=16, epochs=2)
    data.workers = 2
    assert_same(loaded(rule, source, data, batch_size=16, epochs=2), alone)


def test_an_image_that_an_epoch_uses_repeatedly_is_augmented_anew_each_time():
    """The first time as in an epoch without a rule."""
    data = make_data(shift=3, flip=True, tail=dict(classes=1, shots=1))
    (first, *_), (balanced, *_) = (
        batches_of(noisy(60), data, composition=rule, batch_size=64, epochs=1) for rule in (None, BALANCED)
    )
    rare = np.argmin(np.bincount(first["labels"][first["mask"]]))
    once, often = (batch["images"][batch["mask"] & (batch["labels"] == rare)] for batch in (first, balanced))
    assert len(once) == 1 and len(often) in (13, 14)
    assert len(np.unique(often, axis=0)) > 10
    assert any(np.array_equal(image, once[0]) for image in often)
