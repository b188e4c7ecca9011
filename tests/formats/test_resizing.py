import numpy as np
import pytest

from cliptail_jax.formats import resizing
from cliptail_jax.formats.resizing import center_crop, resize, resized_center
from cliptail_jax.input.preprocess import Preprocess
from tests.formats.plain_resizing import assert_near, pictures, resampled


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("filter", ["bicubic", "bilinear"])
def test_resizing_follows_its_formula(filter, fast):
    images = list(pictures(4))
    sizes = [(24, 31), (50, 20), (13, 17), (40, 40)]
    results = [resize(image, *size, filter, fast) for image, size in zip(images, sizes)]
    assert_near(results, [resampled(image, *size, filter) for image, size in zip(images, sizes)])


@pytest.mark.parametrize("size", [(224, 224), (16, 60)])
def test_the_fast_way_gives_pillows_pixels_but_for_rounding(size):
    assert_near([resize(image, *size, fast=True) for image in pictures()], [resize(i, *size) for i in pictures()])


@pytest.mark.parametrize("fast", [False, True])
def test_the_centre_of_a_resized_image_is_that_of_the_whole(fast):
    images = list(pictures())
    crops = [center_crop(resize(image, 71, 90, fast=fast), 64) for image in images]
    assert_near([resized_center(image, 71, 90, 64, fast=fast) for image in images], crops)


@pytest.mark.parametrize("fast", [False, True])
def test_a_centre_larger_than_the_image_is_padded_with_black(fast):
    image = np.full((10, 20, 3), 200, np.uint8)
    centre = resized_center(image, 5, 10, 10, fast=fast)
    np.testing.assert_array_equal(centre[2:7], 200)
    assert not centre[:2].any() and not centre[7:].any()


def test_the_centre_of_an_extreme_image_takes_no_more_memory_than_its_pixels(monkeypatch):
    """Resized as a whole, 20,000 x 10 pixels would be 448,000 x 224."""
    monkeypatch.delattr(resizing, "center_crop")
    strip = np.zeros((10, 20_000, 3), np.uint8)
    strip[:, 9_950:10_050] = 90
    for fast in (False, True):
        square = Preprocess(224).square(strip, fast)
        assert square.shape == (224, 224, 3) and (square == 90).all()


def test_an_extreme_image_whose_long_side_is_fitted_keeps_a_row():
    assert Preprocess(224, resize_mode="longest").square(np.zeros((10, 20_000, 3), np.uint8)).shape == (224, 224, 3)
