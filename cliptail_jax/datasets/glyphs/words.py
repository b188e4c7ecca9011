"""One picture of a character in words."""

import numpy as np

from cliptail_jax.datasets.glyphs.characters import class_name, script
from cliptail_jax.datasets.glyphs.drawing import Difficulty, Style

OFF_CENTRE_PIXELS = 1.5


def tags(character: str, style: Style, rng: np.random.Generator) -> str:
    """One or two of script, weight, slant and colour, in any order, as people tag: 'red, greek'.

    All four would nearly tell the images of a batch apart, whatever the character: CLIP then learns little else.
    """
    all_tags = [script(character), style.face.weight, style.face.slant, style.ink]
    return ", ".join(rng.permutation(all_tags)[: rng.integers(1, 3)])


def size_word(size: float, difficulty: Difficulty) -> str:
    smallest, largest = difficulty.size
    third = (largest - smallest) / 3
    return "small" if size < smallest + third else "large" if size > largest - third else "medium-sized"


def place_words(shift: tuple[float, float]) -> str:
    right, down = shift
    vertical = "top" if down < -OFF_CENTRE_PIXELS else "bottom" if down > OFF_CENTRE_PIXELS else ""
    horizontal = "left" if right < -OFF_CENTRE_PIXELS else "right" if right > OFF_CENTRE_PIXELS else ""
    place = f"{vertical} {horizontal}".strip()
    return f"towards the {place}" if place else "in the centre"


def rotation_words(rotation: float) -> str:
    degrees = round(abs(rotation))
    direction = "left" if rotation > 0 else "right"
    unit = "degree" if degrees == 1 else "degrees"
    return f"turned {degrees} {unit} to the {direction}" if degrees else "not turned"


def description(character: str, style: Style, difficulty: Difficulty) -> str:
    """A sentence that says all of the style."""
    face = style.face
    surface = "grainy" if style.noise > difficulty.most_noise / 2 else "smooth"
    return (
        f"A {size_word(style.size, difficulty)} {style.ink} {class_name(character)} "
        f"in {face.weight} {face.slant} {face.family}, {rotation_words(style.rotation)}, "
        f"{place_words(style.shift)} of a {surface} {style.ground} ground."
    )
