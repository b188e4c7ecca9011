"""Which characters look different enough to be separate classes.

The pictures vary in size, position and rotation, so the similarity of two characters must not depend on them: each is
drawn in every face, rotated by a few angles, cropped to its ink, scaled to one size and slightly blurred, and the
similarity is the highest correlation of pixels over all pairs of faces and angles (1 for A and the Greek Α; near 1 for
O, o and 0).
"""

import collections
import unicodedata

import numpy as np
from fontTools.ttLib import TTFont
from jaxtyping import Float
from PIL import Image, ImageFilter

from cliptail_jax.datasets.glyphs import composed
from cliptail_jax.datasets.glyphs.faces import FACES, glyph_mask

ANGLES = (-15, 0, 15)
SIDE = 20
MARGIN = 2
COMPOSED_SIDE = 28  # composed characters are drawn larger, or a mark would be a pixel or two
MAX_SIMILARITY = 0.8846  # of the values that give 100 characters, the one farthest from any decision

# Composed characters may differ in a mark only. Any value less than 0.0006 away gives the same ones.
MAX_COMPOSED_SIMILARITY = 0.9501
SCRIPTS, CASES = ("LATIN", "GREEK", "CYRILLIC"), ("CAPITAL", "SMALL")

# In order of preference: of two similar characters, the first is kept.
CANDIDATES = (
    "0123456789"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρςστυφχψω"
    "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюя"
    "!#$%&*+/<=>?@^~£¥€§¶÷∂∃∀∆∇∈∏√∞∩∪∫≈≠≤⊂⊕⊗←↑→↓↔↕↵⇒⇔⌂⌘●■▲▼◆○□☀☺☻♀♂♠♣♥♦♪♫♯†‡"
    "ԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆ"
)


def normalized_view(mask: Image.Image, angle: float, side: int) -> Float[np.ndarray, " pixels"]:
    """The shape rotated by `angle` degrees, cropped, scaled and blurred, as a vector of mean 0 and norm 1."""
    turned = mask.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    shape = turned.crop(turned.getbbox())
    scale = side / max(shape.size)
    width, height = (max(1, round(length * scale)) for length in shape.size)
    canvas = Image.new("L", (side + 2 * MARGIN, side + 2 * MARGIN))
    corner = ((canvas.width - width) // 2, (canvas.height - height) // 2)
    canvas.paste(shape.resize((width, height), Image.Resampling.BOX), corner)
    view = np.asarray(canvas.filter(ImageFilter.GaussianBlur(1)), np.float32).ravel()
    view -= view.mean()
    return view / np.linalg.norm(view)


def views(character: str, angles: tuple[float, ...], side: int = SIDE) -> Float[np.ndarray, "views pixels"]:
    """A character's normalized views in every face and at every angle."""
    return np.stack([normalized_view(glyph_mask(face, character), angle, side) for face in FACES for angle in angles])


def choose_characters(count: int) -> str:
    """The first `count` candidates of which no two are more similar than `MAX_SIMILARITY`, selected greedily."""
    chosen, chosen_views = "", []
    for candidate in CANDIDATES:
        turned = views(candidate, ANGLES)
        # It is enough to rotate one of the two: only the angle between them matters.
        if all((turned @ kept.T).max() <= MAX_SIMILARITY for kept in chosen_views):
            chosen += candidate
            chosen_views.append(views(candidate, (0,)))
        if len(chosen) == count:
            break
    return chosen


def composed_candidates() -> str:
    """The Latin, Greek and Cyrillic letters that every face holds and whose names are 'BASE WITH MARK', by code point.

    Unicode decomposes them into the base that the name names and one mark; it decomposes none with a stroke.
    """
    held = set.intersection(*(set(TTFont(face.font_file()).getBestCmap()) for face in FACES))
    return "".join(character for character in map(chr, sorted(held)) if is_candidate(character))


def is_candidate(character: str) -> bool:
    title = unicodedata.name(character, "")
    base, _, mark = title.partition(" WITH ")
    is_letter = base.startswith(tuple(f"{script} {case} LETTER " for script in SCRIPTS for case in CASES))
    if not is_letter or not mark or " AND " in mark:
        return False
    parts = unicodedata.decomposition(character).split()
    try:
        has_parts = len(parts) == 2 and parts[0][0] != "<" or not parts and mark == composed.STROKE.upper()
        return has_parts and unicodedata.name(composed.base(character)) == base
    except KeyError:  # there is no such base
        return False


def most_similar(candidate: str, upright_views: list[Float[np.ndarray, "views pixels"]]) -> float:
    """The highest similarity of a composed character to others, given their upright views."""
    turned = views(candidate, ANGLES, COMPOSED_SIDE)
    return max(((turned @ upright.T).max() for upright in upright_views), default=0)


def choose_composed() -> str:
    """The candidates of which no two are more similar than `MAX_COMPOSED_SIMILARITY`, selected greedily.

    Those whose mark no other has are left out then. It takes 20 seconds: the tests look at some of the characters.
    """
    chosen, chosen_views = "", []
    for candidate in composed_candidates():
        if most_similar(candidate, chosen_views) <= MAX_COMPOSED_SIMILARITY:
            chosen += candidate
            chosen_views.append(views(candidate, (0,), COMPOSED_SIDE))
    times = collections.Counter(map(composed.mark_words, chosen))
    return "".join(character for character in chosen if times[composed.mark_words(character)] > 1)
