from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cliptail_jax.input import resizing
from cliptail_jax.input.decoding import decode_image
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.resizing import center_crop, resize, resized_center

PHOTOGRAPHS = Path(__file__).parents[3] / "shared" / "imagenet-sample"


def pictures(count: int = 12):
    """Made-up pictures of several sizes, half of them noise and half smooth."""
    random = np.random.default_rng(0)
    for number in range(count):
        height, width = random.integers(20, 300, 2)
        sides = (height, width) if number % 2 else (height // 9 + 2, width // 9 + 2)
        picture = Image.fromarray(random.integers(0, 256, (*sides, 3), np.uint8))
        yield np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


def resampled(image: np.ndarray, height: int, width: int, filter: str) -> np.ndarray:
    """A direct version in float64, value by value of each axis; grey levels are rounded after each axis."""

    def kernel(x):
        x = abs(x)
        if filter == "bilinear":
            return max(1 - x, 0)
        return 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0

    def along_rows(pixels, size):
        step = len(pixels) / size
        rows = []
        for row in range(size):
            at = (row + 0.5) * step
            weights = np.array([kernel((source + 0.5 - at) / max(step, 1)) for source in range(len(pixels))])
            rows.append(np.tensordot(weights / weights.sum(), pixels, 1))
        return np.floor(np.clip(rows, 0, 255) + 0.5)

    narrow = along_rows(image.astype(np.float64).swapaxes(0, 1), width).swapaxes(0, 1)
    return along_rows(narrow, height)


def assert_near(results, truth):
    """At most one grey level apart in 99.9 % of all values, and nowhere more than two."""
    apart = np.concatenate([np.abs(a.astype(int) - b).ravel() for a, b in zip(results, truth, strict=True)])
    assert np.mean(apart > 1) < 0.001 and apart.max() <= 2 and np.mean(apart > 0) < 0.02


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("filter", ["bicubic", "bilinear"])
def test_resizing_follows_its_formula(filter, fast):
    made = list(pictures(4))
    sizes = [(24, 31), (50, 20), (13, 17), (40, 40)]
    results = [resize(image, *size, filter, fast) for image, size in zip(made, sizes)]
    assert_near(results, [resampled(image, *size, filter) for image, size in zip(made, sizes)])


@pytest.mark.parametrize("size", [(224, 224), (16, 60)])
def test_the_fast_way_gives_pillows_pixels_but_for_rounding(size):
    assert_near([resize(image, *size, fast=True) for image in pictures()], [resize(i, *size) for i in pictures()])


@pytest.mark.skipif(not PHOTOGRAPHS.exists(), reason="the sample of ImageNet is not there")
def test_the_fast_way_gives_pillows_pixels_of_photographs():
    images = [decode_image(file.read_bytes()) for file in sorted(PHOTOGRAPHS.rglob("*.JPEG"))[::20]]
    assert_near([resize(i, 224, 224, fast=True) for i in images], [resize(i, 224, 224) for i in images])
    centers = [[resized_center(image, 300, 350, 288, fast=fast) for image in images] for fast in (True, False)]
    assert_near(*centers)


@pytest.mark.parametrize("fast", [False, True])
def test_the_centre_of_a_resized_image_is_that_of_the_whole(fast):
    made = list(pictures())
    whole = [center_crop(resize(image, 71, 90, fast=fast), 64) for image in made]
    assert_near([resized_center(image, 71, 90, 64, fast=fast) for image in made], whole)


@pytest.mark.parametrize("fast", [False, True])
def test_a_centre_larger_than_the_image_is_padded_with_black(fast):
    image = np.full((10, 20, 3), 200, np.uint8)
    centre = resized_center(image, 5, 10, 10, fast=fast)
    np.testing.assert_array_equal(centre[2:7], 200)
    assert not centre[:2].any() and not centre[7:].any()


def test_an_image_of_the_right_size_stays_as_it_is():
    image = next(pictures())
    assert resize(image, *image.shape[:2], fast=True) is image


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
