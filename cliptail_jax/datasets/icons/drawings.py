"""Renders drawings with resvg."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from cliptail_jax.datasets.icons.sets import Icon, IconSet
from cliptail_jax.errors import UserError


def check_renderer() -> None:
    """Raises UserError if resvg is not installed."""
    try:
        import resvg_py  # noqa: F401
    except ImportError:
        raise UserError(
            "icons are rendered by resvg, which is not installed: pip install resvg-py (the extra icons)"
        ) from None


def svg(icon: Icon, of: IconSet, size: int) -> str:
    """The SVG document of a drawing, in the middle of a square of `size` pixels.

    The bounds are those of the drawing, or else of its set. The current colour is black.
    """
    left, top, width, height = (
        getattr(of, side) if getattr(icon, side) is None else getattr(icon, side)
        for side in ("left", "top", "width", "height")
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" color="black" '
        f'width="{size}" height="{size}" viewBox="{left:.9g} {top:.9g} {width:.9g} {height:.9g}">{icon.body}</svg>'
    )


def render(document: str) -> UInt8[np.ndarray, "height width 3"] | None:
    """The pixels of an SVG document (its first frame) on white; None if it fails or the image is blank."""
    import resvg_py

    try:
        png = resvg_py.svg_to_bytes(svg_string=document, background="#ffffff", skip_system_fonts=True)
    except ValueError:
        return None
    with Image.open(io.BytesIO(png)) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    return None if pixels.min() == 255 else pixels


def encoded(pixels: UInt8[np.ndarray, "height width 3"]) -> bytes:
    """The pixels as PNG."""
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "PNG")
    return png.getvalue()
