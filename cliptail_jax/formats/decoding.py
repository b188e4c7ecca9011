"""Decodes images. libjpeg-turbo decodes ordinary JPEGs directly, with Pillow's pixels in two thirds of the time."""

import io
import os
import pathlib
from collections.abc import Iterable
from typing import Protocol

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import ExifTags, Image, UnidentifiedImageError

from cliptail_jax.host.errors import UserError

RgbImage = UInt8[np.ndarray, "height width 3"]

# A few kilobytes can be an image of any size, and Pillow needs 14 bytes per pixel. Phones take pictures of up to this size.
MAX_PIXELS, LIMIT = 50_000_000, "CLIPTAIL_MAX_PIXELS"  # the default, and the environment's variable for another limit
# libjpeg-turbo decodes at any number of eighths of the size. The others are no faster than the next larger one of these, and
# their images differ ten times as much from resized ones.
_REDUCTIONS = (8, 4, 2)


class UnreadableImageError(ValueError):
    """The bytes of an image cannot be decoded."""


class ImageSource(Protocol):
    """A source of encoded images, such as `cliptail_jax.datasets.source.Source`."""

    name: str
    split: str

    def encoded_images(self, records: Iterable[int]) -> Iterable[bytes]:
        """The bytes of each record's image, b"" if they cannot be read."""

    def file_of(self, record: int) -> pathlib.Path:
        """The file that contains a record."""


def max_pixels() -> int:
    """The number of pixels of the largest image that is decoded. Raises UserError if the environment has no number."""
    value = os.environ.get(LIMIT, str(MAX_PIXELS))
    if not value.isdecimal():
        raise UserError(
            f"the environment's {LIMIT} is {value!r}; it must be a number of pixels, by default {MAX_PIXELS}"
        )
    return int(value)


def decode_image(content: bytes, least_side: int = 0) -> RgbImage:
    """Decodes an image of any format that Pillow reads as RGB: grey, CMYK and palettes are converted, alpha is dropped.

    Values of 16 bits are scaled to 8. The file's orientation tag is ignored, except in TIFF, where Pillow follows it. An
    animation is its first picture.

    Args:
        least_side: A JPEG is decoded at the smallest of a half, a quarter and an eighth of its size that has this many
            pixels on both sides; 0 decodes all images as they are.

    Raises:
        UnreadableImageError: The bytes are not an image, are incomplete, have more pixels than `max_pixels`, or have values
            without a known range: floating-point numbers, or integers of 32 bits.
    """
    image = _decode_plain_jpeg(content, least_side)
    return _decode_with_pillow(content) if image is None else image


def as_rgb(image: np.ndarray | Image.Image | str | os.PathLike) -> RgbImage:
    """The pixels of an image, given as the path of a file, as Pillow's image of any mode, or as uint8 pixels.

    Pillow's images are converted, and files decoded, as `decode_image` does.

    Raises:
        UserError: It is none of these, or not an image.
    """
    if isinstance(image, str | os.PathLike):
        try:
            with open(image, "rb") as file:
                return decode_image(file.read())
        except OSError as error:
            raise UserError(f"image {image} cannot be read: {error.strerror}") from error
        except UnreadableImageError as error:
            raise UserError(f"{image} is not an image, or is damaged: {error}") from error
    if isinstance(image, Image.Image):
        try:
            return _rgb_of(image)
        except Exception as error:  # as in `_decode_with_pillow`: Pillow decodes a file when its pixels are needed
            raise UserError(f"the image of Pillow cannot be decoded: {' '.join(str(error).split())}") from error
    if not hasattr(image, "shape") or image.dtype != np.uint8 or image.shape[2:] != (3,) or not all(image.shape):
        description = (
            f"an array {list(image.shape)} of {image.dtype}" if hasattr(image, "shape") else type(image).__name__
        )
        raise UserError(f"an image is Pillow's, a path, or an array [height, width, 3] of uint8, not {description}")
    return np.asarray(image)


def _decode_plain_jpeg(content: bytes, least_side: int) -> RgbImage | None:
    """The pixels of a JPEG; None for anything else, for other colours than YCbCr and grey, and for any irregularity.

    Pillow decodes with libjpeg-turbo, too, but forgives more, and treats other colours in its own way.
    """
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours not in ("YCbCr", "Gray") or height * width > max_pixels():
            return None
        sides = reduced_sides(height, width, least_side)
        return simplejpeg.decode_jpeg(content, "RGB", min_height=sides[0], min_width=sides[1])
    except ValueError:
        return None


def reduced_sides(height: int, width: int, least_side: int) -> tuple[int, int]:
    """The height and width of a JPEG that is decoded with `least_side`; (0, 0) for its own size."""
    for reduction in _REDUCTIONS if least_side else ():
        sides = -(-height // reduction), -(-width // reduction)
        if min(sides) >= least_side:
            return sides
    return 0, 0


def _decode_with_pillow(content: bytes) -> RgbImage:
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > (limit := max_pixels()):
                raise UnreadableImageError(f"{image.width} x {image.height} pixels are more than {LIMIT}={limit}")
            return _rgb_of(image)
    except (UnreadableImageError, UserError):
        raise
    except UnidentifiedImageError as error:  # its message names the buffer
        raise UnreadableImageError("its format is not recognized") from error
    except Exception as error:  # Pillow's decoders raise exceptions of many kinds
        raise UnreadableImageError(f"{type(error).__name__}: {error}") from error


def _rgb_of(image: Image.Image) -> RgbImage:
    """Converts as Pillow does, except for grey values of 16 bits, which Pillow clips to 255: they are scaled."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        tags = getattr(image, "tag_v2", {})  # of a TIFF
        maximum = 2 ** tags.get(ExifTags.Base.BitsPerSample, (16,))[0] - 1  # some have 12 bits
        grey = np.rint(np.asarray(image) / (maximum / 255)).astype(np.uint8)
        white_is_zero = tags.get(ExifTags.Base.PhotometricInterpretation) == 0
        return np.repeat((255 - grey if white_is_zero else grey)[..., None], 3, axis=2)
    if image.mode in ("I", "F"):
        kind = "integers of unknown range" if image.mode == "I" else "floating-point numbers"
        raise UnreadableImageError(f"its values are {kind}: save it with 8 or 16 bits")
    return np.array(image.convert("RGB"))
