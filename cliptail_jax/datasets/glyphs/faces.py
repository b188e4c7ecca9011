"""The twelve DejaVu faces in matplotlib, and the shape of a character in each of them."""

import dataclasses
import functools
import pathlib

import matplotlib
from PIL import Image, ImageDraw, ImageFont

FONT_PIXELS = 64
FONT_FILES = {"DejaVu Sans": "DejaVuSans", "DejaVu Sans Mono": "DejaVuSansMono", "DejaVu Serif": "DejaVuSerif"}
WEIGHTS = ("regular", "bold")
SLANTS = ("upright", "oblique")


@dataclasses.dataclass(frozen=True)
class Face:
    """One font file: a family ('DejaVu Serif') in a weight ('bold') and a slant ('oblique')."""

    family: str
    weight: str
    slant: str

    def font_file(self) -> pathlib.Path:
        oblique = "Italic" if self.family == "DejaVu Serif" else "Oblique"
        style = ("Bold" if self.weight == "bold" else "") + (oblique if self.slant == "oblique" else "")
        stem = FONT_FILES[self.family] + (f"-{style}" if style else "")
        return pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{stem}.ttf"


FACES = tuple(Face(family, weight, slant) for family in FONT_FILES for weight in WEIGHTS for slant in SLANTS)


@functools.cache
def load_font(face: Face) -> ImageFont.FreeTypeFont:
    # The basic layout does not depend on libraqm, which only some builds of Pillow have.
    return ImageFont.truetype(face.font_file(), FONT_PIXELS, layout_engine=ImageFont.Layout.BASIC)


@functools.cache
def glyph_mask(face: Face, character: str) -> Image.Image:
    """The character's ink in 0..255, cropped to its bounding box, at `FONT_PIXELS` per em."""
    font = load_font(face)
    left, top, right, bottom = font.getbbox(character)
    mask = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(mask).text((-left, -top), character, font=font, fill=255)
    return mask.crop(mask.getbbox())
