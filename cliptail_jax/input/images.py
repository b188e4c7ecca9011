"""Images from bytes to a model's input: decode, crop, resize, shift, flip, normalise.

Geometry and rounding are torchvision's on Pillow images, so that recipes carry over pixel for pixel. All randomness
comes from (seed, epoch, record) alone, never from the order in which records are read.
"""

import io
import math
from enum import IntEnum

import numpy as np
from jax import Array
from jaxtyping import Float32, Float64, Int, UInt8
from PIL import Image

from cliptail_jax.errors import UserError

# Mean and standard deviation of CLIP's training images by channel, values in 0..1 (github.com/openai/CLIP).
MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
# The same of ImageNet's, as torchvision's models take them.
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)

# torchvision's RandomResizedCrop: the range of width / height, and how often it tries for a box that fits.
_ASPECTS = (3 / 4, 4 / 3)
_CROP_TRIES = 10

# Constants of Philox4x64-10 for its two words: Salmon et al. (2011), "Parallel random numbers: as easy as 1, 2, 3".
_PHILOX_MULTIPLIERS = np.array([0xD2E7470EE14C6C93, 0xCA5A826395121157], np.uint64)[:, None, None]
_PHILOX_KEY_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)

RgbImage = UInt8[np.ndarray, "height width 3"]


class UnreadableImageError(ValueError):
    """The bytes of an image cannot be decoded."""


class Purpose(IntEnum):
    """What a record's random numbers are for. Each purpose has streams of its own."""

    CROP = 0
    SHIFT_AND_FLIP = 1
    VIEWS = 2


def decode_image(encoded: bytes) -> RgbImage:
    """A JPEG, PNG or other image that Pillow reads, as RGB: grey, CMYK and palettes converted, alpha dropped.

    Raises UnreadableImageError where the bytes are no image, or are cut short.
    """
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return np.array(image.convert("RGB"))
    except Exception as error:  # what Pillow's decoders raise on broken bytes is not limited to its own exceptions
        raise UnreadableImageError(f"{type(error).__name__}: {error}") from error


def eval_image(image: RgbImage, size: int, resize: int) -> UInt8[np.ndarray, "size size 3"]:
    """The centre of `image`, `size` on each side, after its short side was resized to `resize`."""
    return center_crop(resize_short_side(image, resize), size)


def random_resized_crop(
    image: RgbImage, rng: np.random.Generator, scale: tuple[float, float], size: int
) -> UInt8[np.ndarray, "size size 3"]:
    """A random box of `image`, resized to a square: torchvision's RandomResizedCrop, bicubic with antialiasing."""
    top, left, height, width = random_crop_box(rng, *image.shape[:2], scale)
    # Cropped before resized: a filter must not see pixels outside of the box.
    return resize(image[top : top + height, left : left + width], size, size)


def random_crop_box(
    rng: np.random.Generator, height: int, width: int, scale: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Top, left, height and width of a box: its share of the area uniform in `scale`, its aspect log-uniform.

    Aspects lie in 3/4..4/3. Where ten draws give no box that fits, it is the largest centred one of such an aspect.
    """
    for share, log_aspect, down, across in rng.random((_CROP_TRIES, 4)).tolist():
        area = height * width * (scale[0] + (scale[1] - scale[0]) * share)
        aspect = _ASPECTS[0] * (_ASPECTS[1] / _ASPECTS[0]) ** log_aspect
        box_height, box_width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < box_height <= height and 0 < box_width <= width:
            return int(down * (height - box_height + 1)), int(across * (width - box_width + 1)), box_height, box_width
    box_width = min(width, round(height * _ASPECTS[1]))
    box_height = min(height, round(width / _ASPECTS[0]))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def resize_short_side(image: RgbImage, size: int) -> RgbImage:
    """`image` with its short side at `size` and its aspect kept, the long side rounded down as in torchvision."""
    height, width = image.shape[:2]
    short = min(height, width)
    return resize(image, int(size * height / short), int(size * width / short))


def resize(image: RgbImage, height: int, width: int) -> RgbImage:
    """`image` at another size, by Pillow's bicubic filter, which widens to antialias when it shrinks."""
    if image.shape[:2] == (height, width):
        return image
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def center_crop(image: RgbImage, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """The centre of `image`, with torchvision's rounding; an image smaller than `size` is padded with black."""
    missing = [max(size - side, 0) for side in image.shape[:2]]
    if any(missing):
        image = np.pad(image, [*((m // 2, (m + 1) // 2) for m in missing), (0, 0)])
    # round() goes to the even neighbour at .5, in torchvision as here.
    top, left = (round((side - size) / 2) for side in image.shape[:2])
    return image[top : top + size, left : left + size]


def shift_and_flip(
    images: UInt8[np.ndarray, "batch height width 3"], uniforms: Float64[np.ndarray, "batch 3"], pixels: int, flip: bool
) -> UInt8[np.ndarray, "batch height width 3"]:
    """Shift each image by up to `pixels` on each axis, its border mirrored, and with `flip` flip it half of the time.

    `uniforms`, in 0..1, decide: down, across and flip, for each image; `record_uniforms` makes them. Raises UserError
    where the images are too small to mirror that much.
    """
    batch, height, width, _ = images.shape
    if pixels >= min(height, width):
        raise UserError(f"a random shift of {pixels} pixels needs larger images than {height}x{width}")
    shifts = np.floor(uniforms[:, :2] * (2 * pixels + 1)).astype(int) - pixels
    flipped = flip & (uniforms[:, 2:] < 0.5)
    rows = _mirrored(np.arange(height) + shifts[:, :1], height)
    columns = _mirrored(np.arange(width) + shifts[:, 1:], width)
    columns = np.where(flipped, columns[:, ::-1], columns)
    pixel = (np.arange(batch)[:, None, None] * height + rows[:, :, None]) * width + columns[:, None, :]
    return images.reshape(-1, 3).take(pixel, axis=0)


def _mirrored(positions: Int[np.ndarray, "batch side"], side: int) -> Int[np.ndarray, "batch side"]:
    return (side - 1) - np.abs((side - 1) - np.abs(positions))


def normalize(
    images: UInt8[Array, "batch height width 3"],
    mean: Float32[np.ndarray, "3"] = MEAN,
    std: Float32[np.ndarray, "3"] = STD,
) -> Float32[Array, "batch height width 3"]:
    """Pixels 0..255 to standardised values, by default those that CLIP's models take. For the inside of a jitted step."""
    return (images.astype(np.float32) / 255 - mean) / std


def record_rng(seed: int, epoch: int, index: int, purpose: Purpose) -> np.random.Generator:
    """The generator of one record in one epoch: Philox, its key the seed and purpose, its counter the epoch and record.

    No two of them overlap: a stream has 2^128 blocks before it meets the next. All numbers lie in 0..2^64-1.
    """
    key = np.array([seed, purpose], np.uint64)
    counter = np.array([0, 0, index, epoch], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def record_uniforms(
    seed: int, epoch: int, indices: Int[np.ndarray, "batch"], purpose: Purpose, count: int
) -> Float64[np.ndarray, "batch count"]:
    """What `record_rng(seed, epoch, index, purpose).random(count)` gives for each of `indices`, faster for many."""
    blocks = -(-count // 4)
    even = np.empty((2, len(indices), blocks), np.uint64)
    odd = np.zeros_like(even)
    even[0] = np.arange(1, blocks + 1)  # numpy's generator counts up before each block
    even[1] = np.asarray(indices)[:, None]
    odd[1] = epoch
    key = [seed, int(purpose)]
    for _ in range(10):
        high, low = _high_word(even), even * _PHILOX_MULTIPLIERS
        even = high[::-1] ^ odd ^ np.array(key, np.uint64)[:, None, None]
        odd = low[::-1]
        key = [(word + step) % 2**64 for word, step in zip(key, _PHILOX_KEY_STEPS)]
    words = np.stack([even[0], odd[0], even[1], odd[1]], axis=-1).reshape(len(indices), 4 * blocks)
    return (words[:, :count] >> np.uint64(11)) * 2.0**-53


def _high_word(factor: np.ndarray) -> np.ndarray:
    """The upper 64 of the 128 bits of `factor` times Philox's multipliers, by schoolbook with 32-bit digits."""
    half, mask = np.uint64(32), np.uint64(2**32 - 1)
    a_high, a_low = _PHILOX_MULTIPLIERS >> half, _PHILOX_MULTIPLIERS & mask
    b_high, b_low = factor >> half, factor & mask
    middle = a_high * b_low + (a_low * b_low >> half)
    return a_high * b_high + (middle >> half) + (a_low * b_high + (middle & mask) >> half)
