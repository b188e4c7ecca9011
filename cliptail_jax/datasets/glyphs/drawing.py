"""One picture of a character: its random style, and its pixels."""

import dataclasses
import functools
import itertools

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from cliptail_jax.datasets.glyphs.faces import SLANTS, WEIGHTS, Face, glyph_mask

SIDE = 32
SUPERSAMPLING = 2
# No test image has a font family of a training image.
FAMILIES = {"train": ("DejaVu Sans Mono", "DejaVu Serif"), "test": ("DejaVu Sans",)}
COLOURS = {
    "black": (15, 15, 15),
    "white": (245, 245, 245),
    "grey": (128, 128, 128),
    "red": (210, 40, 40),
    "orange": (240, 140, 30),
    "yellow": (240, 220, 60),
    "green": (40, 150, 60),
    "teal": (30, 140, 150),
    "blue": (40, 80, 210),
    "navy": (20, 25, 90),
    "purple": (125, 50, 160),
    "pink": (245, 150, 190),
    "brown": (115, 70, 35),
}


@dataclasses.dataclass(frozen=True)
class Extent:
    """The size and position of a set's characters, in pixels.

    Attributes:
        smallest, largest: the longer side of a character's ink.
        most_shift: the largest shift of its centre along each axis.
    """

    smallest: float
    largest: float
    most_shift: float


# Other difficulties of the pictures. Angles are in degrees, levels in 0..255.
MAX_ROTATION = 15.0
MIN_CONTRAST = 60.0  # the ink's luminance above the ground's
COLOUR_JITTER = 20.0
MAX_NOISE = 50.0  # standard deviation


@dataclasses.dataclass(frozen=True)
class Style:
    """The style of one picture. The shift of the centre is to the right and down, the rotation counter-clockwise."""

    face: Face
    ink: str
    ground: str
    size: float
    shift: tuple[float, float]
    rotation: float
    noise: float


def picture_generator(seed: int, split: str, label: int, index: int) -> np.random.Generator:
    """The random generator of one picture, independent of all others."""
    return np.random.default_rng([seed, tuple(FAMILIES).index(split), label, index])


@functools.cache
def colour_pairs() -> list[tuple[str, str]]:
    """The pairs of a brighter ink and a ground with sufficient contrast (luminance of Rec. 601)."""
    luminance = {name: float(np.dot(rgb, (0.299, 0.587, 0.114))) for name, rgb in COLOURS.items()}
    pairs = itertools.product(COLOURS, repeat=2)
    return [(ink, ground) for ink, ground in pairs if luminance[ink] - luminance[ground] >= MIN_CONTRAST]


def draw_style(rng: np.random.Generator, split: str, extent: Extent) -> Style:
    """A random style of a split."""
    choices = (FAMILIES[split], WEIGHTS, SLANTS, colour_pairs())
    family, weight, slant, (ink, ground) = (choice[int(rng.random() * len(choice))] for choice in choices)
    shift = extent.most_shift * (2 * rng.random(2) - 1)
    return Style(
        face=Face(family, weight, slant),
        ink=ink,
        ground=ground,
        size=float(rng.uniform(extent.smallest, extent.largest)),
        shift=(float(shift[0]), float(shift[1])),
        rotation=MAX_ROTATION * (2 * rng.random() - 1),
        noise=MAX_NOISE * rng.random(),
    )


def similarity(style: Style, extent: Extent) -> float:
    """The similarity in 0..1 of a style to the plainest one: medium size, centred, upright and without noise.

    It is 1 minus the mean deviation of size, position, rotation and noise, each as a share of its maximum. Faces and
    colours do not count.
    """
    deviations = (
        abs(2 * style.size - extent.smallest - extent.largest) / (extent.largest - extent.smallest),
        sum(map(abs, style.shift)) / (2 * extent.most_shift),
        abs(style.rotation) / MAX_ROTATION,
        style.noise / MAX_NOISE,
    )
    return 1 - sum(deviations) / len(deviations)


def place_ink(character: str, style: Style) -> Float[np.ndarray, "32 32"]:
    """The share of each pixel that the character covers, in 0..1."""
    mask = glyph_mask(style.face, character)
    canvas = SIDE * SUPERSAMPLING
    scale = max(mask.size) / (style.size * SUPERSAMPLING)
    angle = np.deg2rad(style.rotation)
    # PIL maps an output pixel to the input: undo the shift, the rotation and the scale, in this order.
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    offset = np.array(mask.size) / 2 - rotation @ (canvas / 2 + SUPERSAMPLING * np.array(style.shift))
    matrix = (*rotation[0], offset[0], *rotation[1], offset[1])
    large_mask = mask.transform((canvas, canvas), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return np.asarray(large_mask.reduce(SUPERSAMPLING), np.float32) / 255


def draw_picture(rng: np.random.Generator, character: str, style: Style) -> UInt8[np.ndarray, "32 32 3"]:
    """The pixels of a character in a style; the generator supplies colour jitter and noise."""
    return paint(rng, place_ink(character, style), style)


def paint(rng: np.random.Generator, coverage: Float[np.ndarray, "32 32"], style: Style) -> UInt8[np.ndarray, "32 32 3"]:
    """The pixels of ink in the colours of a style; the generator supplies colour jitter and noise."""
    jitter = COLOUR_JITTER * (2 * rng.random((2, 3)) - 1)
    ink, ground = (np.array([COLOURS[style.ink], COLOURS[style.ground]]) + jitter).astype(np.float32)
    pixels = ground + coverage[:, :, None] * (ink - ground)
    pixels += np.float32(style.noise) * rng.standard_normal((SIDE, SIDE, 3), dtype=np.float32)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
