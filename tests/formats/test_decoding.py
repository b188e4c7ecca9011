import io
import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cliptail_jax.formats import decoding
from cliptail_jax.formats.decoding import UnreadableImageError, decode_image
from cliptail_jax.formats.reencoding import Reencoding
from tests.formats.plain_resizing import encoded
from tests.fuzz_cases import JPEGS

WIDE = np.load(Path(__file__).parents[1] / "data" / "torchvision_images.npz")["image"]


def by_pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def smooth(height: int, width: int) -> Image.Image:
    coarse = np.random.default_rng(height).integers(0, 256, (5, 7, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def test_png_decodes_to_its_pixels():
    np.testing.assert_array_equal(decode_image(encoded(Image.fromarray(WIDE), "PNG")), WIDE)


@pytest.mark.parametrize(
    ("mode", "color", "format", "rgb"),
    [
        ("L", 77, "PNG", (77, 77, 77)),
        ("1", 1, "PNG", (255, 255, 255)),
        ("LA", (77, 10), "PNG", (77, 77, 77)),
        ("RGBA", (10, 20, 30, 40), "PNG", (10, 20, 30)),
        ("CMYK", (0, 255, 255, 0), "TIFF", (255, 0, 0)),
        ("L", 77, "JPEG", (77, 77, 77)),
    ],
)
def test_other_modes_decode_to_rgb(mode, color, format, rgb):
    image = decode_image(encoded(Image.new(mode, (5, 4), color), format))
    assert image.shape == (4, 5, 3)
    np.testing.assert_array_equal(image, np.broadcast_to(rgb, (4, 5, 3)))


SIXTEEN = np.array([[0, 128, 129, 257], [32896, 65278, 65279, 65535]], np.uint16)


@pytest.mark.parametrize(
    "data",
    [
        *(encoded(Image.fromarray(SIXTEEN), format) for format in ("PNG", "TIFF", "JPEG2000", "PPM")),
        encoded(Image.fromarray(SIXTEEN.astype(">u2")), "TIFF"),
        encoded(Image.fromarray(65535 - SIXTEEN), "TIFF", tiffinfo={262: 0}),  # white is zero
    ],
    ids=["PNG", "TIFF", "JPEG2000", "PPM", "big-endian TIFF", "inverted TIFF"],
)
def test_sixteen_bits_are_scaled_to_eight(data):
    np.testing.assert_array_equal(decode_image(data)[..., 0], [[0, 0, 1, 1], [128, 254, 254, 255]])
    assert decode_image(data).shape == (2, 4, 3)


def test_twelve_bits_of_a_tiff_are_scaled_to_eight():
    bits = [struct.pack("<HHIH", 258, 3, 1, number) for number in (16, 12)]  # the tag BitsPerSample
    data = encoded(Image.fromarray(np.full((2, 4), 65535, np.uint16)), "TIFF").replace(*bits)
    np.testing.assert_array_equal(decode_image(data), np.full((2, 4, 3), 255))


@pytest.mark.parametrize(("kind", "name"), [(np.int32, "integers of unknown range"), (np.float32, "floating-point")])
def test_values_without_a_known_range_are_unreadable_and_named(kind, name):
    with pytest.raises(UnreadableImageError, match=name):
        decode_image(encoded(Image.fromarray(SIXTEEN.astype(kind)), "TIFF"))


def test_palette_decodes_to_its_colors():
    flat = Image.fromarray(np.repeat(np.array([[[255, 0, 0]], [[0, 0, 255]]], np.uint8), 3, axis=1))
    palette = flat.convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's advice about transparency in palettes
        image = decode_image(encoded(palette, "PNG", transparency=b"\x80\xff"))
    np.testing.assert_array_equal(image, np.asarray(flat))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP"])
def test_unreadable_bytes_raise(format):
    data = encoded(Image.fromarray(np.tile(WIDE, (4, 4, 1))), format)
    flipped = bytearray(data)
    flipped[60:70] = bytes(255 - byte for byte in data[60:70])
    for broken in (b"", b"<html>404</html>", data[: len(data) // 2], data[:20], *[bytes(flipped)] * (format == "PNG")):
        with pytest.raises(UnreadableImageError) as error:
            decode_image(broken)
        assert "object at" not in str(error.value)


def test_orientation_of_the_camera_is_ignored_as_in_torchvision():
    image = smooth(20, 30)
    for orientation in range(1, 9):
        image.getexif()[0x0112] = orientation
        assert decode_image(encoded(image, "JPEG", exif=image.getexif())).shape == (20, 30, 3)


@pytest.mark.parametrize("data", JPEGS, ids=[f"kind{number}" for number in range(len(JPEGS))])
def test_every_kind_of_jpeg_has_pillows_pixels(data):
    np.testing.assert_array_equal(decode_image(data), by_pillow(data))


@settings(max_examples=50, database=None, deadline=None)
@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 100), st.integers(0, 2), st.booleans(), st.integers(0, 10**6)
)
def test_any_size_quality_and_subsampling_has_pillows_pixels(height, width, quality, subsampling, progressive, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    options = dict(quality=quality, subsampling=subsampling, progressive=progressive)
    data = encoded(Image.fromarray(pixels), "JPEG", **options)
    np.testing.assert_array_equal(decode_image(data), by_pillow(data))


def test_jpegs_are_decoded_without_pillow(monkeypatch):
    monkeypatch.delattr(decoding, "_decode_with_pillow")
    assert decode_image(encoded(smooth(20, 30), "JPEG")).shape == (20, 30, 3)


@pytest.mark.parametrize("format", ["GIF", "WEBP"])
def test_an_animation_is_its_first_picture(format):
    red, blue = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    image = decode_image(encoded(red, format, save_all=True, append_images=[blue], duration=100, lossless=True))
    np.testing.assert_array_equal(image, np.broadcast_to([255, 0, 0], (8, 8, 3)))


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
def test_an_image_of_too_many_pixels_is_unreadable_and_named(format, monkeypatch):
    monkeypatch.setenv("CLIPTAIL_MAX_PIXELS", "400")
    decode_image(encoded(smooth(20, 20), format))
    with pytest.raises(UnreadableImageError, match="21 x 20 pixels are more than CLIPTAIL_MAX_PIXELS=400"):
        decode_image(encoded(smooth(20, 21), format))


def test_a_header_that_claims_many_pixels_is_refused_before_they_are_allocated():
    data = bytearray(encoded(smooth(20, 20), "JPEG"))
    size = data.index(b"\xff\xc0") + 5
    data[size : size + 4] = (60000).to_bytes(2, "big") * 2
    with pytest.raises(UnreadableImageError, match="3600000000 pixels"):
        decode_image(bytes(data))


@pytest.mark.parametrize(
    ("size", "least_side", "expected"),
    [
        ((400, 400), 100, (100, 100)),
        ((400, 400), 101, (200, 200)),
        ((401, 803), 51, (51, 101)),
        ((90, 400), 100, (90, 400)),
    ],
)
def test_large_jpegs_are_decoded_at_a_fraction_that_keeps_the_least_side(size, least_side, expected):
    image = decode_image(encoded(smooth(*size), "JPEG"), least_side)
    assert image.shape[:2] == expected


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize(("size", "reduced"), [((90, 120), (64, 85)), ((131, 90), (93, 64)), ((65, 650), (64, 640))])
def test_larger_images_become_jpegs_that_show_the_same(format, size, reduced):
    original = encoded(smooth(*size), format)
    result = Reencoding(64, quality=95)(original)
    assert Image.open(io.BytesIO(result)).format == "JPEG"
    image = decode_image(result)
    assert image.shape[:2] == reduced
    expected = Image.open(io.BytesIO(original)).resize(reduced[::-1], Image.Resampling.BICUBIC)
    assert np.abs(image.astype(int) - np.asarray(expected)).mean() < 2


def test_smaller_and_unreadable_images_stay_as_they_are():
    small_images = [encoded(smooth(64, 90), "JPEG"), encoded(smooth(20, 500), "JPEG"), encoded(smooth(64, 64), "PNG")]
    for data in (*small_images, b"no image"):
        assert Reencoding(64)(data) is data
