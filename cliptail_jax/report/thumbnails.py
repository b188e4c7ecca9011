"""Small copies of a data set's images, to be embedded in the page."""

import base64
import io
from collections.abc import Iterable, Sequence

from PIL import Image

from cliptail_jax.formats.decoding import ImageSource, UnreadableImageError, decode_image

SIDE = 64  # pixels, at most
COLUMNS = 16  # of a sprite, as in images.js
BATCH = 256  # images in memory at once
TYPE, QUALITY = "WEBP", 70  # 0.8 KB of a photograph; JPEGs and lossless files are larger


def thumbnails(source: ImageSource, records: Sequence[int]) -> list[str]:
    """Each record's image of at most SIDE pixels a side, as base64 of a WebP file; '' if it cannot be read."""
    parts = (source.encoded_images(records[start : start + BATCH]) for start in range(0, len(records), BATCH))
    return [thumbnail(file) for part in parts for file in part]


def thumbnail(file: bytes) -> str:
    """An image of at most SIDE pixels a side, as base64 of a WebP file; '' if it cannot be read."""
    image = small(file)
    return webp(image) if image else ""


def sprite(images: Iterable[bytes]) -> tuple[str, int]:
    """Images of at most SIDE pixels a side in rows of COLUMNS, as base64 of one WebP file, and the side of their cells.

    The cell of an image that cannot be read is empty.
    """
    copies = [small(file) for file in images]
    cell = max((side for image in copies if image for side in image.size), default=1)
    whole = Image.new("RGBA", (COLUMNS * cell, max(-(-len(copies) // COLUMNS), 1) * cell))
    for place, image in enumerate(copies):
        if image:
            row, column = divmod(place, COLUMNS)
            margins = ((cell - side) // 2 for side in image.size)
            whole.paste(image, tuple(cell * n + margin for n, margin in zip((column, row), margins)))
    return webp(whole), cell


def small(file: bytes) -> Image.Image | None:
    """An image of at most SIDE pixels a side; None if it cannot be read."""
    try:
        image = Image.fromarray(decode_image(file, least_side=SIDE))
    except UnreadableImageError:
        return None
    image.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)  # which enlarges none
    return image


def webp(image: Image.Image) -> str:
    """The image as base64 of a WebP file."""
    file = io.BytesIO()
    image.save(file, TYPE, quality=QUALITY)
    return base64.b64encode(file.getvalue()).decode()
