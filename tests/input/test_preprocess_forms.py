"""Preprocessing takes an image in the forms that users have it in."""

import io
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cliptail_jax.formats.decoding import decode_image
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.preprocess import Preprocess, read_preprocess
from cliptail_jax.pretrained.published import listed_preprocess
from tests.formats.plain_resizing import encoded

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
    return Image.open(io.BytesIO(encoded(Image.fromarray(PIXELS), "PNG")[:-400]))


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


DATA = Path(__file__).parents[1] / "data"
TRUTH = dict(np.load(DATA / "pretrained_images.npz"))
NORMALIZED, OF_SIGLIP = TRUTH.pop("normalized"), TRUTH.pop("siglip")
WIDE = np.load(DATA / "torchvision_images.npz")["image"]


@pytest.mark.parametrize("name", TRUTH)
def test_images_are_those_of_open_clip(name):
    mode, interpolation, size, orientation = name.split("_")
    preprocess = Preprocess(int(size), interpolation=interpolation, resize_mode=mode)
    image = WIDE if orientation == "wide" else np.ascontiguousarray(WIDE.transpose(1, 0, 2))
    difference = np.abs(preprocess.square(image).astype(int) - TRUTH[name])
    # Pillow 12 and 13 differ in which side of a tall image they squash first, and cut off at 0 and 255 in between.
    either_first = mode == "squash" and orientation == "tall"
    assert difference.max() <= (12 if either_first else 0) and difference.mean() < 0.5


def test_values_are_normalised_by_channel():
    np.testing.assert_allclose(Preprocess(11)(WIDE), NORMALIZED, atol=1e-6)
    of_siglip = read_preprocess(listed_preprocess("ViT-B-16-SigLIP2"), 11)
    np.testing.assert_allclose(of_siglip(WIDE), OF_SIGLIP, atol=1e-6)
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)
    in_a_step = jax.jit(Preprocess(11, mean, std).normalize)(WIDE[None])
    assert in_a_step.dtype == np.float32
    np.testing.assert_allclose(in_a_step[0], (WIDE / 255 - mean) / std, atol=1e-6)


def test_preprocessing_is_read_back_from_its_configuration():
    preprocess = Preprocess(32, (0.5,) * 3, (0.25,) * 3, "bilinear", "squash")
    assert read_preprocess(preprocess.to_config(), 32) == preprocess
    assert read_preprocess({"mean": 0.5, "std": 0.25, "interpolation": None}, 32).mean == (0.5,) * 3
    assert read_preprocess({}, 32) == Preprocess(32)


@pytest.mark.parametrize(
    "key, value, takes",
    [
        ("interpolation", "lanczos", ""),
        ("interpolation", ["bicubic"], ""),
        ("resize_mode", "crop", ""),
        ("fill_color", 127, ""),
        ("mode", "L", ""),
        ("mean", [1, 2], "a number, or three, one for each channel"),
        ("mean", [[1], [2], [3]], "a number, or three"),
        ("std", [-1, 1, 1], "a positive number, or three"),
        ("std", 1e-300, "a positive number"),
        ("size", [32, 32, 3], "a number of pixels from 1 to 4096, or a pair"),
        ("short_side", -1, "0 or a number of pixels"),
    ],
)
def test_unsupported_values_of_preprocess_cfg_are_refused_by_name(key, value, takes):
    with pytest.raises(UserError) as error:
        read_preprocess({key: value}, 32)
    assert f"preprocess_cfg.{key}={json.dumps(value)}" in str(error.value) and takes in str(error.value)
