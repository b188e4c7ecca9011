"""Encodes large images again, so that they take less space and less time to decode."""

import dataclasses

import simplejpeg

from cliptail_jax.formats.decoding import UnreadableImageError, decode_image
from cliptail_jax.formats.resizing import resize


@dataclasses.dataclass(frozen=True)
class Reencoding:
    """Reduces the short side of larger images to `short_side` pixels, and encodes them as JPEGs of `quality` in 1..100."""

    short_side: int
    quality: int = 90

    def __call__(self, content: bytes) -> bytes:
        """Encodes an image; returns it unchanged if it is not larger or cannot be decoded."""
        try:
            image = decode_image(content)
        except UnreadableImageError:
            return content
        shortest = min(image.shape[:2])
        if shortest <= self.short_side:
            return content
        height, width = (self.short_side * side // shortest for side in image.shape[:2])
        small_image = resize(image, height, width, fast=True)
        return simplejpeg.encode_jpeg(small_image, self.quality, "RGB", "420", fastdct=False)
