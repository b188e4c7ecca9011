"""Transforms of a batch's decoded images before they go to the devices, one class per recipe.

A transform is called with the record of each slot, the decoded images by slot, and the epoch. All randomness comes from
(seed, epoch, record), so a batch does not depend on the process that computes it. A record that an epoch uses
repeatedly has another number each time. Slots without an image stay zero.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterable
from typing import Protocol

import numpy as np
from jaxtyping import Int, UInt8

from cliptail_jax.config.sections import FAST
from cliptail_jax.config.training import IN_STEP, Data
from cliptail_jax.formats.decoding import RgbImage
from cliptail_jax.formats.resizing import resize
from cliptail_jax.input.images import ASPECTS, CROP_TRIES, FLIP, Purpose, crop_boxes, record_uniforms, shift_and_flip
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.views import MultiCrop, Views, draw_views

Arrays = dict[str, np.ndarray | Views]
AnyImage = UInt8[np.ndarray, "_ _ 3"]  # each may have other sides, unlike the RgbImages of one function
SlotImages = Iterable[tuple[int | np.integer, AnyImage]]

BOXES_AT_ONCE = 16  # in a tenth of the time; this number of images is in memory


class Transform(Protocol):
    """Maps the images of a batch, by slot, to the batch's image arrays, each [slot, ...]."""

    least_side: int  # images may be decoded at a fraction of their size whose sides have this many pixels; 0: whole

    def prepare(self, image: RgbImage) -> AnyImage:
        """A decoded image after the operations that are the same in each epoch: a cache keeps it, `__call__` receives it."""
        return image

    def __call__(self, records: Int[np.ndarray, " slot"], images: SlotImages, epoch: int) -> Arrays: ...


@dataclasses.dataclass(frozen=True)
class CenterCrop(Transform):
    """`images` [slot, size, size, 3] uint8, preprocessed without randomness: for evaluation."""

    preprocess: Preprocess
    fast: bool = False
    least_side: int = 0

    def prepare(self, image: RgbImage) -> AnyImage:
        return self.preprocess.square(image, self.fast)

    def __call__(self, records: Int[np.ndarray, " slot"], images: SlotImages, epoch: int) -> Arrays:
        size = self.preprocess.size
        array = np.zeros((len(records), size, size, 3), np.uint8)
        for slot, image in images:
            array[slot] = image
        return {"images": array}


@dataclasses.dataclass(frozen=True)
class RandomCrop(Transform):
    """`images` [slot, size, size, 3] uint8: random resized crops, then random shifts and flips.

    Attributes:
        seed: the seed of all randomness.
        size: the side of the result in pixels.
        scale: smallest and largest share of the area that a crop keeps; square images stay whole at (1, 1).
        shift: the largest shift of images in pixels, on each axis.
        flip: whether half of the images are mirrored.
        fast: whether images are resized by the faster library of `cliptail_jax.formats.resizing`.
    """

    seed: int
    size: int
    scale: tuple[float, float]
    shift: int = 0
    flip: bool = False
    fast: bool = False
    least_side: int = 0

    def prepare(self, image: RgbImage) -> AnyImage:
        height, width = image.shape[:2]
        stays_whole = self.scale == (1.0, 1.0) and height == width  # no box of another aspect has its area
        return resize(image, self.size, self.size, fast=self.fast) if stays_whole else image

    def __call__(self, records: Int[np.ndarray, " slot"], images: SlotImages, epoch: int) -> Arrays:
        array = np.zeros((len(records), self.size, self.size, 3), np.uint8)

        def images_to_crop() -> SlotImages:
            for slot, image in images:
                if image.shape[:2] == (self.size, self.size) and self.scale == (1.0, 1.0):
                    array[slot] = image
                else:
                    yield slot, image

        for slot, box in random_boxes(images_to_crop(), records, self.seed, epoch, self.scale):
            array[slot] = resize(box, self.size, self.size, fast=self.fast)
        if self.shift or self.flip:
            uniforms = record_uniforms(self.seed, epoch, records, Purpose.SHIFT_AND_FLIP, 3)
            array = shift_and_flip(array, uniforms, self.shift, self.flip)
        return {"images": array}


def random_boxes(
    images: SlotImages, records: Int[np.ndarray, " slot"], seed: int, epoch: int, scale: tuple[float, float]
) -> SlotImages:
    """Cuts a random box, drawn by `crop_boxes`, out of each image, so that a filter does not see pixels outside of it."""
    images, uniforms = iter(images), None
    while chunk := list(itertools.islice(images, BOXES_AT_ONCE)):
        if uniforms is None:
            uniforms = record_uniforms(seed, epoch, records, Purpose.CROP, CROP_TRIES * 4).reshape(-1, CROP_TRIES, 4)
        slots = [slot for slot, _ in chunk]
        heights, widths = np.array([image.shape[:2] for _, image in chunk]).T
        boxes = crop_boxes(uniforms[slots], heights, widths, np.array(scale)).astype(int).tolist()
        for (slot, image), (top, left, height, width) in zip(chunk, boxes):
            yield slot, image[top : top + height, left : left + width]


@dataclasses.dataclass(frozen=True)
class CanvasWithBox(Transform):
    """Canvases for crops on the devices: `images` [slot, canvas, canvas, 3] uint8 with a random box of an image at the top
    left of each; `boxes` [slot, 4] float32 and `flips` [slot], the arguments of `cliptail_jax.input.device_crops`.

    Boxes, scale and flips are as in `RandomCrop`.
    """

    seed: int
    scale: tuple[float, float]
    canvas: int
    flip: bool = False
    least_side: int = 0

    def __call__(self, records: Int[np.ndarray, " slot"], images: SlotImages, epoch: int) -> Arrays:
        canvases, boxes = Canvases(len(records), self.canvas), np.zeros((len(records), 4), np.float32)
        for slot, box in random_boxes(images, records, self.seed, epoch, self.scale):
            boxes[slot, 2:] = canvases.put(slot, box)
        uniforms = record_uniforms(self.seed, epoch, records, Purpose.SHIFT_AND_FLIP, 3)
        return canvases.arrays() | {"boxes": boxes, "flips": self.flip & (uniforms[:, 2] < FLIP)}


class Canvases:
    """The canvases of a batch, with an image at the top left of each."""

    def __init__(self, slots: int, side: int):
        self._images, self._side = np.zeros((slots, side, side, 3), np.uint8), side
        self._reduced_sides = np.zeros(slots, np.int32)

    def put(self, slot: int | np.integer, image: RgbImage) -> tuple[int, int]:
        """Puts an image on a canvas; axes longer than the canvas are reduced to it.

        Returns its height and width there.
        """
        height, width = (min(side, self._side) for side in image.shape[:2])
        if (height, width) != image.shape[:2]:
            self._reduced_sides[slot] = max(image.shape[:2])
        self._images[slot, :height, :width] = resize(image, height, width, fast=True)
        return height, width

    def arrays(self) -> Arrays:
        """`images`, and `reduced`, the longer side of an image that was reduced, else 0: for the loader, not the step."""
        return {"images": self._images, "reduced": self._reduced_sides}


def random_crop(data: Data, seed: int) -> RandomCrop | CanvasWithBox:
    """The transform that the section describes."""
    scale, least_side = data.crop_scale, 0
    if data.scaled_decoding:
        least_side = side_for_crops(data.image_size, scale[0])
    if data.resize == IN_STEP:
        return CanvasWithBox(seed, scale, data.canvas, data.flip, least_side)
    fast = data.resize == FAST
    return RandomCrop(seed, data.image_size, scale, data.shift, data.flip, fast, least_side)


def side_for_crops(size: int, share: float) -> int:
    """The side of a square image whose crops of at least `share` of the area have `size` pixels or more on both sides."""
    return math.ceil(size / math.sqrt(share * ASPECTS[0]))


@dataclasses.dataclass(frozen=True)
class CanvasWithViews(Transform):
    """Canvases for augmentation on the devices: `images` [slot, canvas, canvas, 3] uint8 with a whole image at the top left
    of each, and `views`, the random parameters that `cliptail_jax.input.device_views` takes."""

    seed: int
    crops: MultiCrop
    canvas: int
    least_side: int = 0

    def __call__(self, records: Int[np.ndarray, " slot"], images: SlotImages, epoch: int) -> Arrays:
        canvases = Canvases(len(records), self.canvas)
        sizes, extents = np.ones((2, len(records), 2), int)
        for slot, image in images:
            sizes[slot] = image.shape[:2]
            extents[slot] = canvases.put(slot, image)
        views = draw_views(self.seed, epoch, records, sizes, self.crops)
        scales = np.tile(extents / sizes, 2).astype(np.float32)
        return canvases.arrays() | {"views": views._replace(box=views.box * scales[:, None])}


def multi_crop(data: Data, seed: int) -> CanvasWithViews:
    """DINO's transform that the section describes."""
    crops, least_side = crops_of(data), 0
    if data.scaled_decoding:
        least_side = max(
            side_for_crops(crops.global_size, crops.global_scale[0]),
            side_for_crops(crops.local_size, crops.local_scale[0]) if crops.num_local else 0,
        )
    return CanvasWithViews(seed, crops, data.canvas, least_side)


def crops_of(data: Data) -> MultiCrop:
    """DINO's crops that the section describes."""
    views = data.multi_crop
    return MultiCrop(
        global_size=data.image_size,
        global_scale=data.crop_scale,
        num_local=views.num_local,
        local_size=views.local_size,
        local_scale=views.local_scale,
        flip=data.flip,
        max_blur=views.max_blur,
    )
