"""Resizes images on the host with Pillow's antialiasing filters, by Pillow or four times as fast.

The faster library is Rust's fast_image_resize in the package cykooz.resizer. Its results do not depend on the CPU's
vector instructions. For photographs, 0.4 % of the values differ from Pillow's by one grey level, and two in a million
by two.
"""

import cykooz_resizer as cr
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from cliptail_jax.formats.decoding import RgbImage

# Pillow's filters and those of the other library, by open_clip's names.
FILTERS = {
    "bicubic": (Image.Resampling.BICUBIC, cr.FilterType.catmull_rom),  # both are the cubic with a = -1/2
    "bilinear": (Image.Resampling.BILINEAR, cr.FilterType.bilinear),
}
FILTERS["random"] = FILTERS["bicubic"]  # open_clip draws a filter, in training only
MAX_WHOLE_PIXELS = 89_478_485  # would take hundreds of megabytes
Box = tuple[float, float, float, float]  # left, top, right, bottom


def resize(
    image: RgbImage, height: int, width: int, filter: str = "bicubic", fast: bool = False
) -> UInt8[np.ndarray, "{height} {width} 3"]:
    """Resizes an image with one of `FILTERS`."""
    if image.shape[:2] == (height, width):
        return image
    return _resize_box(image, (0, 0, image.shape[1], image.shape[0]), height, width, filter, fast)


def resized_center(
    image: RgbImage, height: int, width: int, size: int, filter: str = "bicubic", fast: bool = False
) -> UInt8[np.ndarray, "size size 3"]:
    """Resizes an image to `height` x `width` and cuts out its centre as `center_crop` does.

    The fast way computes only these pixels. So does the other way for a whole of more than `MAX_WHOLE_PIXELS` pixels.
    """
    whole_fits = height * width <= MAX_WHOLE_PIXELS
    if min(height, width) < size or image.shape[:2] == (height, width) or (whole_fits and not fast):
        return center_crop(resize(image, height, width, filter, fast), size)
    top, left = centered(height, size), centered(width, size)
    row_scale, column_scale = image.shape[0] / height, image.shape[1] / width
    box = (left * column_scale, top * row_scale, (left + size) * column_scale, (top + size) * row_scale)
    return _resize_box(image, box, size, size, filter, fast)


def center_crop(image: RgbImage, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Crops the centre of an image with torchvision's rounding; an image smaller than `size` is padded with black."""
    margins = [max(size - side, 0) for side in image.shape[:2]]
    if any(margins):
        image = np.pad(image, [*((m // 2, (m + 1) // 2) for m in margins), (0, 0)])
    top, left = (centered(side, size) for side in image.shape[:2])
    return image[top : top + size, left : left + size]


def centered(side: int, size: int) -> int:
    """The first of the `size` central pixels of `side`."""
    return round((side - size) / 2)  # halves to even, in torchvision as here


def _resize_box(
    image: RgbImage, box: Box, height: int, width: int, filter: str, fast: bool
) -> UInt8[np.ndarray, "{height} {width} 3"]:
    """Resizes a box of an image; the filter sees the pixels around it."""
    pillow_filter, fast_filter = FILTERS[filter]
    left, top, right, bottom = box
    # Each axis has its own call. In a single call, their order differs between the libraries and Pillow's versions, which
    # changes results by up to 16 grey levels.
    if not fast:
        rows = image.shape[0]
        narrow_image = Image.fromarray(image).resize((width, rows), pillow_filter, box=(left, 0, right, rows))
        return np.array(narrow_image.resize((width, height), pillow_filter, box=(0, top, width, bottom)))
    algorithm = cr.ResizeAlg.convolution(fast_filter)
    resizer, source = cr.Resizer(), _image(image.shape[1], image.shape[0], image.tobytes())
    narrow_image = _image(width, image.shape[0])
    resizer.resize(
        source, narrow_image, cr.ResizeOptions(algorithm, crop_box=cr.CropBox(left, 0, right - left, source.height))
    )
    result = _image(width, height)
    resizer.resize(narrow_image, result, cr.ResizeOptions(algorithm, crop_box=cr.CropBox(0, top, width, bottom - top)))
    return np.frombuffer(result.get_buffer(), np.uint8).reshape(height, width, 3)


def _image(width: int, height: int, pixels: bytes | None = None) -> cr.ImageData:
    return cr.ImageData(width, height, cr.PixelType.U8x3, pixels)
