import jax
import numpy as np
import pytest

from cliptail_jax.formats.resizing import resize
from cliptail_jax.input.device_crops import crops_of_boxes
from cliptail_jax.input.transforms import CanvasWithBox, Purpose
from tests.formats.plain_resizing import assert_near, pictures, resampled
from tests.input.plain_crops import random_resized_crop, record_rng

SIDE, SIZE, SCALE = 300, 32, (0.3, 1.0)


@pytest.fixture(scope="module")
def make():
    return jax.jit(crops_of_boxes, static_argnums=3)


@pytest.fixture(scope="module")
def batch():
    """Eight pictures on canvases, their boxes drawn as in training; three empty slots."""
    transform = CanvasWithBox(0, SCALE, SIDE, flip=True)
    return transform(np.arange(11), list(enumerate(pictures(8))), epoch=2)


@pytest.fixture(scope="module")
def crops(make, batch):
    return np.asarray(make(batch["images"], batch["boxes"], batch["flips"], SIZE))


def test_crops_are_those_of_the_host(batch, crops):
    host = []
    for record, image in enumerate(pictures(8)):
        crop = random_resized_crop(image, record_rng(0, 2, record, Purpose.CROP), SCALE, SIZE)
        host.append(crop[:, ::-1] if batch["flips"][record] else crop)
    assert 0 < batch["flips"][:8].sum() < 8
    assert_near(crops[:8], host)


def test_crops_follow_their_formula(make):
    canvas = np.random.default_rng(0).integers(0, 256, (1, 40, 40, 3), np.uint8)
    crop = make(canvas, np.float32([[3, 5, 30, 23]]), np.array([False]), 12)
    assert_near(np.asarray(crop), [resampled(canvas[0, 3:33, 5:28], 12, 12, "bicubic")])


def test_pixels_outside_the_box_change_nothing(make, batch, crops):
    noise = np.random.default_rng(1).integers(0, 256, batch["images"].shape, np.uint8)
    rows, columns = (np.arange(SIDE) < batch["boxes"][:, [axis]] for axis in (2, 3))
    inside = rows[:, :, None, None] & columns[:, None, :, None]
    new_crops = make(np.where(inside, batch["images"], noise), batch["boxes"], batch["flips"], SIZE)
    np.testing.assert_array_equal(new_crops[:8], crops[:8])


def test_a_slot_without_an_image_is_black(crops):
    assert not crops[8:].any()


def test_sides_longer_than_the_canvas_are_reduced_to_it(make):
    """Twice resized, a picture shows the same."""
    picture = resize(np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8), 60, 90)
    batch = CanvasWithBox(0, (1.0, 1.0), 70)(np.arange(1), [(0, picture)], epoch=0)
    host = random_resized_crop(picture, record_rng(0, 0, 0, Purpose.CROP), (1.0, 1.0), SIZE)
    assert batch["boxes"][0].tolist() == [0, 0, 60, 70]
    crop = np.asarray(make(batch["images"], batch["boxes"], batch["flips"], SIZE))[0]
    assert np.abs(crop - np.float32(host)).mean() < 2
