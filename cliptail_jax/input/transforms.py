"""What becomes of a batch's decoded images before they go to the devices: one class a recipe.

A transform is called with the record of each slot, the decoded images by slot, and the epoch. All randomness comes from
(seed, epoch, record), so that a batch does not depend on who computes it. Slots without an image stay zero.
"""

import dataclasses
from collections.abc import Iterable
from typing import Protocol

import numpy as np
from jaxtyping import Int
from ml_collections import ConfigDict

from cliptail_jax.input.images import (
    Purpose,
    RgbImage,
    random_resized_crop,
    record_rng,
    record_uniforms,
    resize,
    shift_and_flip,
)
from cliptail_jax.input.pillow_views import pillow_views
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.views import NUM_GLOBAL, MultiCrop, Views, draw_views

Arrays = dict[str, np.ndarray | Views]
SlotImages = Iterable[tuple[int, RgbImage]]


class Transform(Protocol):
    """From the images of a batch, by slot, to the batch's image arrays, each [slot, ...]."""

    def __call__(self, records: Int[np.ndarray, "slot"], images: SlotImages, epoch: int) -> Arrays: ...


@dataclasses.dataclass(frozen=True)
class CenterCrop:
    """`images` [slot, size, size, 3] uint8, preprocessed without randomness: for evaluation."""

    preprocess: Preprocess

    def __call__(self, records: Int[np.ndarray, "slot"], images: SlotImages, epoch: int) -> Arrays:
        size = self.preprocess.size
        array = np.zeros((len(records), size, size, 3), np.uint8)
        for slot, image in images:
            array[slot] = self.preprocess.square(image)
        return {"images": array}


@dataclasses.dataclass(frozen=True)
class RandomCrop:
    """`images` [slot, size, size, 3] uint8: random resized crops, then random shifts and flips.

    Attributes:
        seed: of all randomness.
        size: the side of the result in pixels.
        scale: smallest and largest share of the area that a crop keeps; images of the right size stay whole at (1, 1).
        shift: images are shifted by up to so many pixels on each axis.
        flip: whether half of the images are mirrored.
    """

    seed: int
    size: int
    scale: tuple[float, float]
    shift: int = 0
    flip: bool = False

    def __call__(self, records: Int[np.ndarray, "slot"], images: SlotImages, epoch: int) -> Arrays:
        array = np.zeros((len(records), self.size, self.size, 3), np.uint8)
        for slot, image in images:
            array[slot] = self._crop(image, int(records[slot]), epoch)
        if self.shift or self.flip:
            uniforms = record_uniforms(self.seed, epoch, records, Purpose.SHIFT_AND_FLIP, 3)
            array = shift_and_flip(array, uniforms, self.shift, self.flip)
        return {"images": array}

    def _crop(self, image: RgbImage, record: int, epoch: int) -> RgbImage:
        if image.shape[:2] == (self.size, self.size) and self.scale == (1.0, 1.0):
            return image
        return random_resized_crop(image, record_rng(self.seed, epoch, record, Purpose.CROP), self.scale, self.size)


def random_crop(data: ConfigDict, seed: int) -> RandomCrop:
    """The transform that the section `data` of a config describes."""
    return RandomCrop(seed, data.image_size, tuple(data.crop_scale), data.shift, data.flip)


@dataclasses.dataclass(frozen=True)
class CanvasWithViews:
    """For augmentation on the devices: `images` [slot, canvas, canvas, 3] uint8, whole images resized to a square, and
    `views`, what is drawn for the views of each, as `cliptail_jax.input.device_views` takes them."""

    seed: int
    crops: MultiCrop
    canvas: int

    def __call__(self, records: Int[np.ndarray, "slot"], images: SlotImages, epoch: int) -> Arrays:
        array = np.zeros((len(records), self.canvas, self.canvas, 3), np.uint8)
        sizes = np.full((len(records), 2), self.canvas)
        for slot, image in images:
            sizes[slot] = image.shape[:2]
            array[slot] = resize(image, self.canvas, self.canvas)
        return {"images": array, "views": draw_views(self.seed, epoch, records, sizes, self.crops)}


@dataclasses.dataclass(frozen=True)
class HostViews:
    """`global_crops` and `local_crops` [slot, view, side, side, 3] uint8, augmented by Pillow."""

    seed: int
    crops: MultiCrop

    def __call__(self, records: Int[np.ndarray, "slot"], images: SlotImages, epoch: int) -> Arrays:
        crops, slots = self.crops, len(records)
        arrays = {
            "global_crops": np.zeros((slots, NUM_GLOBAL, crops.global_size, crops.global_size, 3), np.uint8),
            "local_crops": np.zeros((slots, crops.num_local, crops.local_size, crops.local_size, 3), np.uint8),
        }
        for slot, image in images:
            views = draw_views(self.seed, epoch, records[[slot]], np.array([image.shape[:2]]), crops)
            for array, made in zip(arrays.values(), pillow_views(image, views.record(0), crops)):
                array[slot] = made
        return arrays


def multi_crop(data: ConfigDict) -> MultiCrop:
    """The crops that the section `data` of a config describes."""
    section = data.multi_crop
    return MultiCrop(
        global_size=data.image_size,
        global_scale=tuple(data.crop_scale),
        num_local=section.num_local,
        local_size=section.local_size,
        local_scale=tuple(section.local_scale),
        flip=data.flip,
        max_blur=section.max_blur,
    )
