"""Batches of pictures whose colour tells which record they are of."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cliptail_jax.config.training import MultiCropOptions
from cliptail_jax.curation.variant import make_variant
from cliptail_jax.datasets.source import open_source
from cliptail_jax.formats.decoding import decode_image
from cliptail_jax.formats.resizing import resize
from cliptail_jax.host.errors import UserError
from cliptail_jax.input import pipeline
from cliptail_jax.input.images import Purpose, record_uniforms, shift_and_flip
from cliptail_jax.input.pipeline import (
    EMPTY,
    LoadBatch,
    UnreadableImages,
    evaluation_batches,
    num_steps_per_epoch,
    spread,
)
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.tokenizer import train_tokenizer
from cliptail_jax.input.transforms import CanvasWithViews, crops_of, random_crop
from cliptail_jax.input.views import draw_views
from tests.formats.plain_resizing import encoded
from tests.input.pictures import (
    BATCH,
    EPOCHS,
    RESAMPLED,
    Pictures,
    assert_same,
    assert_same_resumed_and_in_several_processes,
    batches_of,
    joined,
    make_data,
    noisy,
    plain,
    varied_data,
    without_times,
)
from tests.input.plain_crops import random_resized_crop, record_rng


def epochs_of(source, data, **options):
    """The records of each epoch, in order, as their colours tell."""
    colours = [batch["images"][batch["mask"]][:, 0, 0, 0] for batch in batches_of(source, data, **options)]
    steps = len(colours) // EPOCHS
    return [np.concatenate(colours[e * steps : (e + 1) * steps]).tolist() for e in range(EPOCHS)]


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([f"a photo of a bee number {number}" for number in range(21)], 530, 16)


# Order


def test_every_epoch_of_every_seed_is_another_permutation_of_all_rows():
    """Neighbouring seeds do not share their orders an epoch apart."""
    in_order = tuple(range(40))
    epochs = [tuple(epoch) for seed in (0, 1, 2, 2**33) for epoch in epochs_of(plain(40), make_data(), seed=seed)]
    assert all(tuple(sorted(epoch)) == in_order for epoch in epochs)
    assert len({in_order, *epochs}) == 1 + len(epochs)


def test_last_partial_batch_is_kept_with_its_empty_slots_masked():
    batches = batches_of(plain(21), make_data())
    assert num_steps_per_epoch(21, BATCH, drop_last=False) == 3 and len(batches) == 9
    assert [batch["mask"].sum() for batch in batches] == [8, 8, 5] * 3
    assert sorted(batches[2]["mask"].reshape(4, 2).sum(1)) == [1, 1, 1, 2]  # spread over all groups
    assert [sorted(epoch) for epoch in epochs_of(plain(21), make_data())] == [list(range(21))] * 3


def test_last_partial_batch_is_dropped_on_request():
    data = make_data(drop_last=True)
    assert num_steps_per_epoch(21, BATCH, drop_last=True) == 2
    assert [batch["mask"].sum() for batch in batches_of(plain(21), data)] == [8, 8] * 3
    epochs = epochs_of(plain(21), data)
    assert all(len(set(epoch)) == 16 for epoch in epochs)
    assert len(set(itertools.chain(*epochs))) > 16  # each time others


@given(st.integers(1, 8), st.integers(1, 8), st.data())
def test_rows_of_a_partial_batch_are_shared_evenly_by_all_groups_of_neighbours(groups, group_size, data):
    size = groups * group_size
    rows = np.arange(data.draw(st.integers(0, size))) + 100
    slots = spread(rows, size)
    assert slots.shape == (size,)
    np.testing.assert_array_equal(slots[slots != EMPTY], rows)
    shares = (slots != EMPTY).reshape(groups, group_size).sum(1)
    assert shares.max() - shares.min() <= 1


# A batch is a function of its step


def test_batches_are_the_same_resumed_and_in_several_processes(tokenizer):
    assert_same_resumed_and_in_several_processes(functools.partial(batches_of, noisy(21), varied_data(), tokenizer))


def test_worker_processes_load_the_same_batches(glyphs_dir, tokenizer):
    """Of a source on disk, resumed with another number of workers."""
    data = varied_data(image_size=32, eval_resize=32, cache=True, n=40)
    source = open_source("glyphs", str(glyphs_dir), "train")
    batches = functools.partial(batches_of, source, read_text=tokenizer, batch_size=16, epochs=2)
    alone = batches(data)
    assert len(alone) == 6
    assert_same(batches(dataclasses.replace(data, workers=2), start=2), alone[2:])


def test_cache_changes_nothing_but_how_often_images_are_decoded(tokenizer):
    source, plain_source = noisy(21), noisy(21)
    batches = batches_of(plain_source, varied_data(), tokenizer)
    assert_same(batches_of(source, varied_data(cache=True), tokenizer), batches)
    assert len(plain_source.requested) == 3 * 21
    assert set(source.requested) == set(range(21))
    assert len(source.requested) < 2 * 21  # of 3 epochs; threads may meet at the border of two


# Augmentation


def images_by_record(data, epoch):
    """The augmented image of each record of the variant in one epoch."""
    variant = make_variant(noisy(60), data)
    load = LoadBatch(variant, random_crop(data, seed=0), None, len(variant), steps_per_epoch=5)
    images = load(5 * epoch, np.arange(len(variant)))["images"]
    return dict(zip(variant.records.tolist(), images))


@pytest.mark.parametrize(
    "augmentation",
    [{"crop_scale": (0.3, 0.8)}, {"crop_scale": (0.3, 0.8), "resize": "pillow"}, {"shift": 2, "flip": True}],
)
def test_augmentation_is_what_the_config_asks_for_by_seed_epoch_and_record_alone(augmentation):
    data = make_data(**augmentation)
    source = noisy(60)
    for record, image in images_by_record(data, 2).items():
        expected = decode_image(source.encoded_images([record])[0])
        if "crop_scale" in augmentation:
            rng = record_rng(0, 2, record, Purpose.CROP)
            expected = random_resized_crop(expected, rng, (0.3, 0.8), 8, fast=data.resize == "fast")
        else:
            uniforms = record_uniforms(0, 2, np.array([record]), Purpose.SHIFT_AND_FLIP, 3)
            expected = shift_and_flip(expected[None], uniforms, data.shift, data.flip)[0]
        np.testing.assert_array_equal(image, expected)


# Captions


def test_tokens_are_those_of_each_rows_caption_in_its_epoch(tokenizer):
    data = make_data(captions=RESAMPLED)
    variant = make_variant(plain(21), data)
    for step, batch in enumerate(batches_of(plain(21), data, tokenizer)):
        filled = batch["mask"]
        records = batch["images"][filled][:, 0, 0, 0].astype(int)
        np.testing.assert_array_equal(batch["text"][filled], tokenizer(variant.captions(records, step // 3)))
        assert batch["text"].shape == (8, 16) and batch["text"].dtype == np.int32


# Unreadable images

BROKEN = {3: b"", 11: b"<html>404</html>", 17: noisy(1).encoded_images([0])[0][:100]}


def with_broken(number=40, broken=BROKEN):
    source = plain(number)
    source._encoded = [broken.get(record, content) for record, content in enumerate(source._encoded)]
    return source


@pytest.mark.parametrize("cache", [False, True])
def test_unreadable_images_are_masked_and_listed_and_leave_the_others_alone(cache):
    data = make_data(cache=cache)
    epochs = epochs_of(with_broken(), data)
    assert [sorted(epoch) for epoch in epochs] == [sorted(set(range(40)) - set(BROKEN))] * 3
    batches = batches_of(with_broken(), data)
    for epoch in range(3):
        listed = np.concatenate([batch["unreadable"] for batch in batches[epoch * 5 : epoch * 5 + 5]])
        assert sorted(listed) == sorted(BROKEN)
    for batch in batches:
        assert batch["mask"].sum() + len(batch["unreadable"]) == 8
        assert not batch["images"][~batch["mask"]].any()


def unreadable_of(source, max_share):
    """What a program has collected after a pass over the source."""
    unreadable = UnreadableImages(make_variant(source, make_data()), max_share)
    for batch in batches_of(source, make_data()):
        unreadable.take_from(batch)
        assert "unreadable" not in batch
    return unreadable


def test_more_unreadable_images_than_allowed_are_an_error():
    with pytest.raises(UserError, match=r"3 of 40 images .*\(records 3, 11, 17\).*max_unreadable=0.05.* pictures-0"):
        unreadable_of(with_broken(), max_share=0.05).check()
    two = {record: BROKEN[record] for record in (3, 11)}
    unreadable_of(with_broken(broken=two), max_share=0.05).check()  # 2 of 40 are just 5 %


# Evaluation


def evaluate(source, data, batch_size=BATCH, short_side=0, **options):
    preprocess = Preprocess(data.image_size, short_side=short_side)
    batches = evaluation_batches(make_variant(source, data), preprocess, batch_size=batch_size, **options)()
    return [without_times(batch) for batch in batches]


def test_evaluation_goes_through_the_records_in_order_and_masks_the_padding():
    batches = evaluate(plain(20), make_data(), batch_size=6)
    filled = [batch["mask"] for batch in batches]
    assert [mask.sum() for mask in filled] == [6, 6, 6, 2]
    assert all(batch["images"].shape == (6, 8, 8, 3) for batch in batches)
    images = np.concatenate([batch["images"][mask] for batch, mask in zip(batches, filled)])
    np.testing.assert_array_equal(images[:, 4, 4, 0], np.arange(20))
    labels = np.concatenate([batch["labels"][mask] for batch, mask in zip(batches, filled)])
    np.testing.assert_array_equal(labels, np.arange(20) % 3)
    processes = [evaluate(plain(20), make_data(), batch_size=6, slots=slice(first, first + 3)) for first in (0, 3)]
    assert_same(joined(processes), batches)


def test_large_jpegs_are_decoded_at_a_fraction_where_the_config_says_so():
    """Crops of 8 pixels that keep half of the area need sides of 14 pixels; a half of 40 has them."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    jpeg = encoded(Image.fromarray(pixels).resize((40, 40)), "JPEG", quality=95)
    source = Pictures([jpeg])
    for scaled_decoding, image in ((False, decode_image(jpeg)), (True, decode_image(jpeg, 14))):
        data = make_data(crop_scale=(0.5, 1.0), scaled_decoding=scaled_decoding)
        (batch,) = batches_of(source, data, epochs=1)
        crop = random_resized_crop(image, record_rng(0, 0, 0, Purpose.CROP), (0.5, 1.0), 8, fast=True)
        np.testing.assert_array_equal(batch["images"][batch["mask"]][0], crop)
    assert image.shape[:2] == (20, 20)


@pytest.mark.parametrize("keep, starts", [(True, 2), (False, 4)])
def test_processes_of_a_complete_pass_stay_for_the_next_one(keep, starts, monkeypatch):
    worker_counts, iterate = [], pipeline.iterate
    monkeypatch.setattr(
        pipeline, "iterate", lambda dataset, workers: worker_counts.append(workers) or iterate(dataset, 0)
    )
    variant, options = make_variant(noisy(20), make_data()), dict(batch_size=BATCH, workers=1, keep_workers=keep)
    start = pipeline.evaluation_batches(variant, Preprocess(8), **options)
    first, second = list(start()), list(start())
    list(itertools.islice(start(), 1))  # given up
    assert len(first) > 1
    for batches in (second, start()):
        assert_same(map(without_times, batches), map(without_times, first))
    assert worker_counts == [1] * starts


CANVAS = 16


def dino_data(**changes):
    views = MultiCropOptions(num_local=3, local_size=6, local_scale=(0.1, 0.3), max_blur=1.0)
    return make_data(image_size=12, crop_scale=(0.3, 1.0), multi_crop=views, **changes)


def dino_batches(source, data, **options):
    return batches_of(source, data, transform=CanvasWithViews(0, crops_of(data), CANVAS), **options)


@pytest.fixture(scope="module")
def tall():
    """Pictures of 20 × 10 pixels."""
    return noisy(21, 20, 10)


def test_views_are_the_same_resumed_and_in_several_processes(tall):
    assert_same_resumed_and_in_several_processes(functools.partial(dino_batches, tall, dino_data()))


def test_for_the_step_images_are_whole_and_sides_longer_than_the_canvas_are_reduced_to_it(tall):
    """The canvas has 16 pixels: of images of 20 x 10 pixels one axis is reduced, and with it the boxes of the views."""
    batch = dino_batches(tall, dino_data())[3]  # the first of the second epoch
    slot = int(np.flatnonzero(batch["mask"])[0])
    pictures = [resize(decode_image(image), CANVAS, 10, fast=True) for image in tall.encoded_images(range(len(tall)))]
    assert batch["images"].shape == (8, CANVAS, CANVAS, 3)
    assert not batch["images"][:, :, 10:].any()
    records = [record for record, p in enumerate(pictures) if np.array_equal(p, batch["images"][slot, :, :10])]
    assert len(records) == 1
    views = draw_views(0, 1, np.array(records), np.array([[20, 10]]), crops_of(dino_data()))
    np.testing.assert_allclose(batch["views"].box[slot], views.box[0] * [CANVAS / 20, 1, CANVAS / 20, 1])
    for field, value in views._replace(box=batch["views"].box[[slot]])._asdict().items():
        np.testing.assert_array_equal(getattr(batch["views"], field)[slot], value[0])


def test_flips_are_left_out_where_the_config_has_none(tall):
    """A mirrored character is another character."""
    assert any(batch["views"].flip.any() for batch in dino_batches(tall, dino_data(flip=True)))
    assert not any(batch["views"].flip.any() for batch in dino_batches(tall, dino_data(flip=False)))
