"""Random crops, shifts and flips of images.

Geometry and rounding are torchvision's on Pillow images, so that recipes carry over pixel for pixel. All randomness
comes from (seed, epoch, record) alone, never from the order in which records are read.
"""

from enum import IntEnum

import numpy as np
from jaxtyping import Float64, Int, UInt8

# torchvision's RandomResizedCrop: the range of width / height, and how many random boxes it tries.
ASPECTS = (3 / 4, 4 / 3)
CROP_TRIES = 10
FLIP = 0.5  # the share of images that are flipped


class Purpose(IntEnum):
    """The use of a record's random numbers. Each has its own streams."""

    CROP = 0
    SHIFT_AND_FLIP = 1
    VIEWS = 2


def crop_boxes(
    uniforms: Float64[np.ndarray, "*boxes tries 4"],
    height: Int[np.ndarray, "*#boxes"],
    width: Int[np.ndarray, "*#boxes"],
    scale: Float64[np.ndarray, "*#boxes 2"],
) -> Float64[np.ndarray, "*boxes 4"]:
    """Boxes (top, left, height, width) in whole pixels of images, by the rule of torchvision's RandomResizedCrop.

    A box's share of the image's area is uniform in `scale`, and its aspect log-uniform in 3/4..4/3. The result is the first
    box that fits or, if none does, the largest central box of such an aspect.
    """
    height, width, scale = height[..., None], width[..., None], scale[..., None, :]
    share, log_aspect, row_share, column_share = np.moveaxis(uniforms, -1, 0)
    area = height * width * (scale[..., 0] + (scale[..., 1] - scale[..., 0]) * share)
    aspect = ASPECTS[0] * (ASPECTS[1] / ASPECTS[0]) ** log_aspect
    tall, wide = np.rint(np.sqrt(area / aspect)), np.rint(np.sqrt(area * aspect))
    fits = (0 < tall) & (tall <= height) & (0 < wide) & (wide <= width)
    boxes = np.stack(
        [np.floor(row_share * (height - tall + 1)), np.floor(column_share * (width - wide + 1)), tall, wide], axis=-1
    )
    first = np.argmax(fits, axis=-1)[..., None, None]
    box = np.take_along_axis(boxes, first, axis=-2)[..., 0, :]
    tall, wide = np.minimum(height, np.rint(width / ASPECTS[0])), np.minimum(width, np.rint(height * ASPECTS[1]))
    central_box = np.concatenate([(height - tall) // 2, (width - wide) // 2, tall, wide], axis=-1)
    return np.where(fits.any(axis=-1, keepdims=True), box, central_box)


def shift_and_flip(
    images: UInt8[np.ndarray, "batch height width 3"], uniforms: Float64[np.ndarray, "batch 3"], pixels: int, flip: bool
) -> UInt8[np.ndarray, "batch height width 3"]:
    """Shifts each image by up to `pixels` on each axis, its border mirrored, and with `flip` flips half of them.

    `pixels` is smaller than the height and the width.

    Args:
        uniforms: in 0..1, for each image: shift down, shift across, flip; as `record_uniforms` makes them.
    """
    batch, height, width, _ = images.shape
    shifts = np.floor(uniforms[:, :2] * (2 * pixels + 1)).astype(int) - pixels
    is_flipped = flip & (uniforms[:, 2:] < FLIP)
    rows = _mirrored(np.arange(height) + shifts[:, :1], height)
    columns = _mirrored(np.arange(width) + shifts[:, 1:], width)
    columns = np.where(is_flipped, columns[:, ::-1], columns)
    pixel = (np.arange(batch)[:, None, None] * height + rows[:, :, None]) * width + columns[:, None, :]
    return images.reshape(-1, 3).take(pixel, axis=0)


def _mirrored(positions: Int[np.ndarray, "batch side"], side: int) -> Int[np.ndarray, "batch side"]:
    return (side - 1) - np.abs((side - 1) - np.abs(positions))


def record_uniforms(
    seed: int, epoch: int, indices: Int[np.ndarray, " batch"], purpose: Purpose, count: int
) -> Float64[np.ndarray, "batch count"]:
    """Random numbers in 0..1 for each of `indices`: by Philox with seed and purpose as key, epoch and record as counter.

    Streams do not overlap: a stream has 2^128 blocks before it reaches the next. All arguments are in 0..2^64-1.
    """
    bits = np.random.Philox(key=np.array([seed, purpose], np.uint64))
    generator, state = np.random.Generator(bits), bits.state  # making them takes longer than drawing a record's numbers
    uniforms = np.empty((len(indices), count))
    for row, index in zip(uniforms, indices):
        state["state"]["counter"][:] = 0, 0, index, epoch
        bits.state = state
        generator.random(out=row)
    return uniforms
