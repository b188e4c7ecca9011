"""Which characters look different enough to be separate classes.

The pictures vary in size, position and rotation, so the similarity of two characters must not depend on them: each is
drawn in every face, rotated by a few angles, cropped to its ink, scaled to one size and slightly blurred, and the
similarity is the highest correlation of pixels over all pairs of faces and angles (1 for A and the Greek Α; near 1 for
O, o and 0).
"""

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageFilter

from cliptail_jax.datasets.glyphs.faces import FACES, glyph_mask

ANGLES = (-15, 0, 15)
SIDE = 20
MARGIN = 2
MAX_SIMILARITY = 0.8846  # of the values that give 100 characters, the one farthest from any decision

# In order of preference: of two similar characters, the first is kept.
CANDIDATES = (
    "0123456789"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθικλμνξοπρςστυφχψω"
    "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдежзийклмнопрстуфхцчшщъыьэюя"
    "!#$%&*+/<=>?@^~£¥€§¶÷∂∃∀∆∇∈∏√∞∩∪∫≈≠≤⊂⊕⊗←↑→↓↔↕↵⇒⇔⌂⌘●■▲▼◆○□☀☺☻♀♂♠♣♥♦♪♫♯†‡"
    "ԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖաբգդեզէըթժիլխծկհձղճմյնշոչպջռսվտրցւփքօֆ"
)


def normalized_view(mask: Image.Image, angle: float) -> Float[np.ndarray, " pixels"]:
    """The shape rotated by `angle` degrees, cropped, scaled and blurred, as a vector of mean 0 and norm 1."""
    turned = mask.rotate(angle, Image.Resampling.BICUBIC, expand=True)
    shape = turned.crop(turned.getbbox())
    scale = SIDE / max(shape.size)
    width, height = (max(1, round(length * scale)) for length in shape.size)
    canvas = Image.new("L", (SIDE + 2 * MARGIN, SIDE + 2 * MARGIN))
    corner = ((canvas.width - width) // 2, (canvas.height - height) // 2)
    canvas.paste(shape.resize((width, height), Image.Resampling.BOX), corner)
    view = np.asarray(canvas.filter(ImageFilter.GaussianBlur(1)), np.float32).ravel()
    view -= view.mean()
    return view / np.linalg.norm(view)


def views(character: str) -> Float[np.ndarray, "angles faces pixels"]:
    """A character's normalized views at every angle and in every face."""
    return np.array([[normalized_view(glyph_mask(face, character), angle) for face in FACES] for angle in ANGLES])


def choose_characters(count: int) -> str:
    """The first `count` candidates of which no two are more similar than `MAX_SIMILARITY`, selected greedily."""
    characters, chosen_views = "", []
    for candidate in CANDIDATES:
        turned = views(candidate)
        # It is enough to rotate one of the two: only the angle between them matters.
        if all((turned @ view.T).max() <= MAX_SIMILARITY for view in chosen_views):
            characters += candidate
            chosen_views.append(turned[ANGLES.index(0)])
        if len(characters) == count:
            break
    return characters
