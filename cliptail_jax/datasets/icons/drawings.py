"""Renders drawings with resvg. Worker processes import this module alone, so it imports little."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from cliptail_jax.host.errors import UserError


def check_renderer() -> None:
    """Raises UserError if resvg is not installed."""
    try:
        import resvg_py  # noqa: F401
    except ImportError:
        raise UserError(
            "icons are rendered by resvg, which is not installed: pip install resvg-py (the extra icons)"
        ) from None


def render(document: str) -> UInt8[np.ndarray, "height width 3"] | None:
    """The pixels of an SVG document (its first frame) on white; None if it fails or the image is blank."""
    import resvg_py

    try:
        png_file = resvg_py.svg_to_bytes(svg_string=document, background="#ffffff", skip_system_fonts=True)
    except ValueError:
        return None
    with Image.open(io.BytesIO(png_file)) as image:
        pixels = np.asarray(image.convert("RGB"))
    return None if pixels.min() == 255 else pixels


def png(document: str) -> bytes | None:
    """The pixels of an SVG document on white as PNG; None if `render` returns None."""
    if (pixels := render(document)) is None:
        return None
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
