from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.formats.resizing import center_crop, resize
from cliptail_jax.input.images import Purpose, record_uniforms, shift_and_flip
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.transforms import RandomCrop
from tests.input.plain_crops import random_crop_box, random_resized_crop, record_rng

TORCHVISION = np.load(Path(__file__).parents[1] / "data" / "torchvision_images.npz")
WIDE = TORCHVISION["image"]
IMAGES = {"wide": WIDE, "tall": WIDE.transpose(1, 0, 2)}
WORD = st.integers(0, 2**63 - 1)


def rng(index: int = 0) -> np.random.Generator:
    return record_rng(0, 0, index, Purpose.CROP)


# Geometry


@pytest.mark.parametrize("shape", ["wide", "tall"])
@pytest.mark.parametrize("size", [9, 37])
def test_resize_and_center_crop_equal_torchvision(shape, size):
    image = IMAGES[shape]
    np.testing.assert_array_equal(center_crop(image, size), TORCHVISION[f"center_{shape}_{size}"])
    evaluated = Preprocess(size, short_side=24).square(image)
    np.testing.assert_array_equal(evaluated, TORCHVISION[f"eval_{shape}_{size}"])


@pytest.mark.parametrize("box", range(4))
def test_crop_then_resize_equals_torchvision(box):
    top, left, height, width = TORCHVISION["crop_boxes"][box]
    box_image = WIDE[top : top + height, left : left + width]
    for size in (8, 16, 29):
        np.testing.assert_array_equal(resize(box_image, size, size), TORCHVISION[f"crop_{box}_{size}"])


def test_crops_of_many_images_are_those_of_each():
    images = [(slot, IMAGES["wide" if slot % 3 else "tall"]) for slot in range(0, 80, 2)]
    crops = RandomCrop(0, 16, (0.3, 1.0))(np.arange(80), images, epoch=0)["images"]
    for slot, image in images:
        np.testing.assert_array_equal(crops[slot], random_resized_crop(image, rng(slot), (0.3, 1.0), 16))
    assert not crops[1::2].any()


@pytest.mark.parametrize("case", range(4))
def test_crop_boxes_are_distributed_as_in_torchvision(case):
    height, width, *scale = TORCHVISION["statistics_of"][case]
    mean, deviation = TORCHVISION[f"statistics_{case}"]
    draws = 2000
    boxes = np.array([random_crop_box(rng(i), int(height), int(width), scale) for i in range(draws)])
    np.testing.assert_array_less(np.abs(boxes.mean(axis=0) - mean), 4.5 * deviation / np.sqrt(draws) + 1e-9)
    np.testing.assert_allclose(boxes.std(axis=0), deviation, rtol=0.08, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(WORD, st.integers(1, 60), st.integers(1, 60), st.floats(0.01, 1), st.floats(0.01, 1))
def test_crop_box_lies_in_the_image(index, height, width, share, other_share):
    top, left, box_height, box_width = random_crop_box(
        rng(index), height, width, (min(share, other_share), max(share, other_share))
    )
    assert 0 <= top <= top + box_height <= height and 0 <= left <= left + box_width <= width
    assert box_height > 0 and box_width > 0


def test_box_that_never_fits_is_the_largest_centred_one():
    assert random_crop_box(rng(), 10, 100, (1.0, 1.0)) == (0, 43, 10, 13)
    assert random_crop_box(rng(), 100, 10, (1.0, 1.0)) == (43, 0, 13, 10)


@settings(max_examples=100, deadline=None)
@given(WORD, st.integers(1, 600))
def test_square_images_stay_whole_at_a_share_of_one(index, side):
    assert random_crop_box(rng(index), side, side, (1.0, 1.0)) == (0, 0, side, side)


def test_crops_of_prepared_images_are_those_of_the_images():
    square = WIDE[: min(WIDE.shape[:2]), : min(WIDE.shape[:2])]
    images = [(slot, WIDE if slot % 3 else square) for slot in range(0, 16, 2)]
    for scale in ((1.0, 1.0), (0.5, 1.0)):
        crop = RandomCrop(0, 8, scale, shift=2, flip=True, fast=True)
        slot_images = [(slot, crop.prepare(image)) for slot, image in images]
        expected = crop(np.arange(16), images, epoch=0)["images"]
        np.testing.assert_array_equal(crop(np.arange(16), slot_images, epoch=0)["images"], expected)
        assert (slot_images[0][1].shape == (8, 8, 3)) == (scale == (1.0, 1.0))
        assert slot_images[1][1] is WIDE


# Composition


def test_shift_and_flip_equals_padding_and_slicing():
    images = np.stack([WIDE, WIDE[::-1], 255 - WIDE, WIDE[:, ::-1]])
    uniforms = np.array([[0.0, 0.999999, 0.7], [0.5, 0.5, 0.2], [0.3, 0.81, 0.49], [0.999999, 0.0, 0.5]])
    shifts = [(-3, 3), (0, 0), (-1, 2), (3, -3)]
    bordered_images = np.pad(images, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
    plain = np.stack([image[3 + y : 26 + y, 3 + x : 34 + x] for image, (y, x) in zip(bordered_images, shifts)])
    np.testing.assert_array_equal(shift_and_flip(images, uniforms, 3, flip=False), plain)
    plain[1:3] = plain[1:3, :, ::-1]
    np.testing.assert_array_equal(shift_and_flip(images, uniforms, 3, flip=True), plain)


# Randomness


@settings(max_examples=50, deadline=None)
@given(WORD, WORD, st.lists(WORD, min_size=1, max_size=4), st.sampled_from(Purpose), st.integers(1, 9))
def test_uniforms_of_a_batch_equal_those_of_each_record(seed, epoch, indices, purpose, count):
    expected = [record_rng(seed, epoch, index, purpose).random(count) for index in indices]
    np.testing.assert_array_equal(record_uniforms(seed, epoch, np.array(indices), purpose, count), expected)
