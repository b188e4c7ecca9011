"""Random crops one image at a time, with a generator for each record: what whole batches must equal."""

import numpy as np

from cliptail_jax.formats.resizing import resize
from cliptail_jax.input.images import CROP_TRIES, Purpose, crop_boxes


def record_rng(seed: int, epoch: int, index: int, purpose: Purpose) -> np.random.Generator:
    """The generator of a record in an epoch: Philox with seed and purpose as key, epoch and record as counter."""
    key, counter = np.array([seed, purpose], np.uint64), np.array([0, 0, index, epoch], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def random_crop_box(rng, height, width, scale):
    """Top, left, height and width."""
    box = crop_boxes(rng.random((CROP_TRIES, 4)), np.array(height), np.array(width), np.array(scale))
    return tuple(box.astype(int).tolist())


def random_resized_crop(image, rng, scale, size, fast=False):
    top, left, height, width = random_crop_box(rng, *image.shape[:2], scale)
    return resize(image[top : top + height, left : left + width], size, size, fast=fast)
