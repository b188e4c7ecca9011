"""Preprocessing takes an image in the forms that users have it in."""

import io
import re

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cliptail_jax.errors import UserError
from cliptail_jax.images.decoding import decode_image
from cliptail_jax.input.preprocess import Preprocess

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 20, 4), np.uint8)
PREPROCESS = Preprocess(16)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16"])
def test_an_image_of_any_mode_is_the_one_that_its_file_has(tmp_path, mode):
    image = (
        Image.fromarray(PIXELS).convert("I").convert(mode) if mode == "I;16" else Image.fromarray(PIXELS).convert(mode)
    )
    path = tmp_path / f"image.{'tif' if mode == 'CMYK' else 'png'}"
    image.save(path)
    pixels = decode_image(path.read_bytes())
    expected = PREPROCESS.normalize(PREPROCESS.square(pixels))
    for form in (image, Image.open(path), path, str(path), pixels, jnp.asarray(pixels)):
        np.testing.assert_array_equal(PREPROCESS(form), expected)


def cut_off():
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "PNG")
    return Image.open(io.BytesIO(stream.getvalue()[:-400]))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("nowhere.jpg", "image .*nowhere.jpg cannot be read: No such file"),
        ("", "cannot be read: Is a directory"),
        ("text.jpg", "text.jpg is not an image, or is damaged: "),
        (cut_off(), "the image of Pillow cannot be decoded: "),
        (PIXELS, "not an array [30, 20, 4] of uint8"),
        (PIXELS[..., 0], "not an array [30, 20] of uint8"),
        (PIXELS[:0, :, :3], "not an array [0, 20, 3] of uint8"),
        (PIXELS[..., :3] / 255, "not an array [30, 20, 3] of float64"),
        (b"bytes", "an image is Pillow's, a path, or an array [height, width, 3] of uint8, not bytes"),
        (None, "not NoneType"),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path, image, message):
    (tmp_path / "text.jpg").write_text("<html>", encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(message).replace(r"\.\*", ".*")) as error:
        PREPROCESS(tmp_path / image if isinstance(image, str) else image)
    assert "\n" not in str(error.value)
