"""Resizes boxes of images on the accelerator: Pillow's bicubic filter as two matrix products per image, in a jitted step.

Colour is the first axis, [3, height, width]: a last axis of size 3 would waste most of a vector's lanes.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float32, UInt8

from cliptail_jax.input.views import Views

Planes = Float32[Array, "3 height width"]


def cropped(
    batch: Mapping[str, Array | np.ndarray | Views], size: int
) -> UInt8[Array | np.ndarray, "batch {size} {size} 3"]:
    """The images of a batch, or crops of its canvases if it has `boxes` and `flips`.

    `cliptail_jax.input.transforms.CanvasWithBox` makes the latter.
    """
    if "boxes" not in batch:
        return batch["images"]
    return crops_of_boxes(batch["images"], batch["boxes"], batch["flips"], size)


def crops_of_boxes(
    canvases: UInt8[Array | np.ndarray, "batch side side 3"],
    boxes: Float32[Array | np.ndarray, "batch 4"],
    flips: Bool[Array | np.ndarray, " batch"],
    size: int,
) -> UInt8[Array, "batch {size} {size} 3"]:
    """A box of each canvas, resized to a square.

    Args:
        boxes: top, left, height, width in pixels.
        flips: whether a crop is mirrored.
    """
    crops = jax.vmap(crop, in_axes=(0, 0, 0, None))(to_planes(canvases), boxes, flips, size)
    return jnp.moveaxis(crops, 1, -1).astype(jnp.uint8)


def to_planes(images: UInt8[Array | np.ndarray, "batch side side 3"]) -> Float32[Array, "batch 3 side side"]:
    return jnp.moveaxis(images, -1, 1).astype(jnp.float32)


def crop(
    image: Planes, box: Float32[Array, "4"], flip: Bool[Array, ""], size: int
) -> Float32[Array, "3 {size} {size}"]:
    """A box of an image, resized to a square and mirrored where `flip` is set.

    Each axis is a matrix product of integers up to 255, exact even in bfloat16, with weights, whose 8 bits in bfloat16 would
    change one pixel in six by a grey level. `HIGH` is three bfloat16 passes, or TF32, whose 11 bits change one in 40.
    """
    top, left, height, width = box
    rows = bicubic_weights(top, height, image.shape[1], size)
    columns = bicubic_weights(left, width, image.shape[2], size)
    columns = jnp.where(flip, columns[::-1], columns)
    precision = jax.lax.Precision.HIGH
    # Columns first, then rounding to whole grey levels, as in Pillow.
    narrow_image = to_grey_levels(jnp.einsum("chw,xw->chx", image, columns, precision=precision))
    return to_grey_levels(jnp.einsum("chx,yh->cyx", narrow_image, rows, precision=precision))


def bicubic_weights(
    start: Float32[Array, ""], extent: Float32[Array, ""], side: int, size: int
) -> Float32[Array, "{size} {side}"]:
    """The weight of each of `side` input pixels in each of `size` output pixels of a box, given in input pixels.

    The cubic of Keys (1981) with a = -1/2, widened to antialias where it shrinks, and 0 outside of the box.
    """
    step = extent / size
    centres = start + (jnp.arange(size) + 0.5) * step
    pixels = jnp.arange(side) + 0.5
    distance = jnp.abs(pixels - centres[:, None]) / jnp.maximum(step, 1)
    inner_cubic = (1.5 * distance - 2.5) * distance * distance + 1
    outer_cubic = ((2.5 - 0.5 * distance) * distance - 4) * distance + 2
    weights = jnp.where(distance < 1, inner_cubic, jnp.where(distance < 2, outer_cubic, 0))
    # A box thinner than a pixel includes the pixel it lies in.
    is_inside = jnp.abs(pixels - (start + extent / 2)) <= jnp.maximum(extent / 2, 0.5)
    weights = jnp.where(is_inside, weights, 0)
    return weights / weights.sum(axis=1, keepdims=True)


def to_grey_levels(image: Planes) -> Planes:
    """Rounds to grey levels in 0..255."""
    return jnp.floor(jnp.clip(image, 0, 255) + 0.5)
