import json
from pathlib import Path

import jax
import numpy as np
import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.input.preprocess import Preprocess, read_preprocess
from cliptail_jax.pretrained.published import listed_preprocess

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


def test_a_configuration_comes_back():
    preprocess = Preprocess(32, (0.5,) * 3, (0.25,) * 3, "bilinear", "squash")
    assert read_preprocess(preprocess.to_config(), 32) == preprocess
    assert read_preprocess({"mean": 0.5, "std": 0.25, "interpolation": None}, 32).mean == (0.5,) * 3
    assert read_preprocess({}, 32) == Preprocess(32)


@pytest.mark.parametrize("key, value", [("interpolation", "lanczos"), ("resize_mode", "crop"), ("fill_color", 127)])
def test_what_is_not_supported_is_refused_by_name(key, value):
    with pytest.raises(UserError, match=f"preprocess_cfg.{key}={json.dumps(value)}"):
        read_preprocess({key: value}, 32)
