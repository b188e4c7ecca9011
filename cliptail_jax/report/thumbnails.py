"""Small copies of a data set's images, to be embedded in the page."""

import base64
import io
from collections.abc import Sequence

from PIL import Image

from cliptail_jax.datasets.build import built_folder, needs_no_raw_data
from cliptail_jax.errors import UserError
from cliptail_jax.images.decoding import UnreadableImageError, decode_image
from cliptail_jax.input.pipeline import ImageSource
from cliptail_jax.prepared import resolve_data_dir

SIDE = 64  # pixels, at most
READ = 256  # so many images are in memory at once
TYPE, QUALITY = "WEBP", 70  # 0.8 KB of a photograph; JPEGs and lossless files are larger


def thumbnails(source: ImageSource, records: Sequence[int]) -> list[str]:
    """Each record's image of at most SIDE pixels a side, as base64 of a WebP file; '' if it cannot be read."""
    parts = (source.encoded_images(records[start : start + READ]) for start in range(0, len(records), READ))
    return [thumbnail(encoded) for part in parts for encoded in part]


def thumbnail(encoded: bytes) -> str:
    """An image of at most SIDE pixels a side, as base64 of a WebP file; '' if it cannot be read."""
    try:
        image = Image.fromarray(decode_image(encoded, least_side=SIDE))
    except UnreadableImageError:
        return ""
    image.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)  # which enlarges none
    file = io.BytesIO()
    image.save(file, TYPE, quality=QUALITY)
    return base64.b64encode(file.getvalue()).decode()


def check_built(name: str, data_dir: str) -> None:
    """Raises UserError for a set that opening would build: a page is written from existing data."""
    if needs_no_raw_data(name) and not built_folder(name, data_dir).exists():
        root = resolve_data_dir(data_dir)
        raise UserError(
            f"data set {name!r} is not prepared below {root}; prepare it by python -m cliptail_jax.datasets.build {name} "
            f"--data_dir={root}"
        )
