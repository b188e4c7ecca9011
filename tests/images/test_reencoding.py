import io

import numpy as np
import pytest
from PIL import Image

from cliptail_jax.images.decoding import decode_image
from cliptail_jax.images.reencoding import Reencoding


def encoded(height, width, format="JPEG", mode="RGB"):
    coarse = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(coarse).resize((width, height)).convert(mode).save(file, format)
    return file.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize(("size", "reduced"), [((90, 120), (64, 85)), ((131, 90), (93, 64)), ((65, 650), (64, 640))])
def test_larger_images_become_jpegs_that_show_the_same(format, size, reduced):
    before = encoded(*size, format)
    after = Reencoding(64, quality=95)(before)
    assert Image.open(io.BytesIO(after)).format == "JPEG"
    image = decode_image(after)
    assert image.shape[:2] == reduced
    expected = Image.open(io.BytesIO(before)).resize(reduced[::-1], Image.Resampling.BICUBIC)
    assert np.abs(image.astype(int) - np.asarray(expected)).mean() < 2


@pytest.mark.parametrize("data", [encoded(64, 90), encoded(20, 500), encoded(64, 64, "PNG"), b"no image"])
def test_smaller_and_unreadable_images_stay_as_they_are(data):
    assert Reencoding(64)(data) is data
