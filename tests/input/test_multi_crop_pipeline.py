"""DINO's batches: whole images and the parameters of their views, the same whoever loads them."""

import numpy as np
import pytest
from test_pipeline import Pictures, assert_same, batches_of, make_data, noisy, png

from cliptail_jax.images.decoding import decode_image
from cliptail_jax.images.resizing import resize
from cliptail_jax.input.transforms import CanvasWithViews, crops_of
from cliptail_jax.input.views import draw_views

CANVAS = 16


def dino_data(**changes):
    data = make_data(image_size=12, crop_scale=(0.3, 1.0), **changes)
    data.multi_crop.update({"num_local": 3, "local_size": 6, "local_scale": (0.1, 0.3), "max_blur": 1.0})
    return data


def dino_batches(source, data, **options):
    return batches_of(source, data, transform=CanvasWithViews(0, crops_of(data), CANVAS), **options)


def flat(batch):
    return {name: value for name, value in batch.items() if name != "views"} | batch["views"]._asdict()


@pytest.fixture(scope="module")
def tall():
    """Pictures of 20 × 10 pixels."""
    return noisy(21, 20, 10)


def test_batches_are_the_same_for_any_number_of_processes_and_after_a_resume(tall):
    def batches(**options):
        return [flat(batch) for batch in dino_batches(tall, dino_data(), **options)]

    whole = batches()
    assert_same(whole[1:], batches(start=1))
    halves = [batches(slots=slots) for slots in (slice(0, 4), slice(4, 8))]
    for batch, first, second in zip(whole, *halves, strict=True):
        for name, value in batch.items():
            # An empty slot may hold anything; its mask says so.
            joined = np.concatenate([first[name], second[name]])
            np.testing.assert_array_equal(joined, value)


def test_for_the_step_images_are_whole_and_sides_longer_than_the_canvas_are_reduced_to_it(tall):
    """The canvas has 16 pixels: of images of 20 x 10 pixels one axis is reduced, and with it the boxes of the views."""
    batch = dino_batches(tall, dino_data())[0]
    slot = int(np.flatnonzero(batch["mask"])[0])
    pictures = [resize(decode_image(image), CANVAS, 10, fast=True) for image in tall.encoded_images(range(len(tall)))]
    assert batch["images"].shape == (8, CANVAS, CANVAS, 3)
    assert not batch["images"][:, :, 10:].any()
    found = [record for record, p in enumerate(pictures) if np.array_equal(p, batch["images"][slot, :, :10])]
    assert len(found) == 1
    drawn = draw_views(0, 0, np.array(found), np.array([[20, 10]]), crops_of(dino_data()))
    np.testing.assert_allclose(batch["views"].box[slot], drawn.box[0] * [CANVAS / 20, 1, CANVAS / 20, 1])
    for field, value in drawn._replace(box=batch["views"].box[[slot]])._asdict().items():
        np.testing.assert_array_equal(getattr(batch["views"], field)[slot], value[0])


def test_every_epoch_has_views_of_its_own():
    first, second = dino_batches(Pictures([png(np.zeros((16, 16, 3)))]), dino_data(), epochs=2)
    assert not any(np.array_equal(*boxes) for boxes in zip(*(b["views"].box[b["mask"]] for b in (first, second))))


def test_flips_are_left_out_where_the_config_has_none(tall):
    """A mirrored character is another character."""
    assert any(batch["views"].flip.any() for batch in dino_batches(tall, dino_data(flip=True)))
    assert not any(batch["views"].flip.any() for batch in dino_batches(tall, dino_data(flip=False)))
