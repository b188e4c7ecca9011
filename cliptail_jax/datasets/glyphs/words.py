"""The texts of one picture of a character."""

import numpy as np

from cliptail_jax.datasets.glyphs.characters import script
from cliptail_jax.datasets.glyphs.drawing import MAX_NOISE, Extent, Style

OFF_CENTRE_PIXELS = 1.5
UPRIGHT_DEGREES = 5


def tags(character: str, style: Style, rng: np.random.Generator) -> str:
    """One or two of script, weight, slant and colour, in random order: 'red, greek'.

    All four would almost identify an image within a batch, whatever its character, and CLIP would learn little else.
    """
    all_tags = [script(character), style.face.weight, style.face.slant, style.ink]
    return ", ".join(rng.permutation(all_tags)[: rng.integers(1, 3)])


def size_word(size: float, extent: Extent) -> str:
    third = (extent.largest - extent.smallest) / 3
    return "small" if size < extent.smallest + third else "large" if size > extent.largest - third else "medium-sized"


def place_words(shift: tuple[float, float]) -> str:
    x, y = shift
    vertical = "top" if y < -OFF_CENTRE_PIXELS else "bottom" if y > OFF_CENTRE_PIXELS else ""
    horizontal = "left" if x < -OFF_CENTRE_PIXELS else "right" if x > OFF_CENTRE_PIXELS else ""
    place = f"{vertical} {horizontal}".strip()
    return f"towards the {place}" if place else "in the centre"


def rotation_word(rotation: float) -> str:
    direction = "left" if rotation > 0 else "right"
    return "upright" if abs(rotation) < UPRIGHT_DEGREES else f"turned to the {direction}"


def description(subject: str, style: Style, extent: Extent, rng: np.random.Generator) -> str:
    """A sentence about the subject with one or two attributes of the style, for the same reason as in `tags`."""
    face = style.face
    surface = "grainy" if style.noise > MAX_NOISE / 2 else "smooth"
    style_words = [
        size_word(style.size, extent),
        style.ink,
        f"set in {face.weight} {face.slant} {face.family}",
        rotation_word(style.rotation),
        place_words(style.shift),
        f"on a {surface} {style.ground} ground",
    ]
    attributes = rng.permutation(style_words)[: rng.integers(1, 3)]
    return f"The {subject} is {' and '.join(attributes)}."
