"""Random crops one image at a time, with a generator for each record: what whole batches must equal."""

import numpy as np

from cliptail_jax.images.resizing import resize
from cliptail_jax.input.images import CROP_TRIES, crop_boxes


def random_crop_box(rng, height, width, scale):
    """Top, left, height and width."""
    box = crop_boxes(rng.random((CROP_TRIES, 4)), np.array(height), np.array(width), np.array(scale))
    return tuple(box.astype(int).tolist())


def random_resized_crop(image, rng, scale, size, fast=False):
    top, left, height, width = random_crop_box(rng, *image.shape[:2], scale)
    return resize(image[top : top + height, left : left + width], size, size, fast=fast)
