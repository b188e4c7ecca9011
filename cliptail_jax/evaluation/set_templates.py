"""The prompt templates that CLIP was evaluated with, by evaluation set.

From github.com/openai/CLIP, data/prompts.md, each set's in the order in which they are published there; ImageNet's are
the `openai80` of `cliptail_jax.concepts.templates`. CLIP publishes none for places365 and cub: those of sun397, scenes
too, and birdsnap, birds too, stand in.
"""

from cliptail_jax.concepts.templates import templates
from cliptail_jax.errors import UserError


def published_templates(set_name: str) -> tuple[str, ...]:
    """CLIP's templates for an evaluation set. Raises UserError for a set that has none, naming those that have."""
    if set_name not in PUBLISHED_TEMPLATES:
        raise UserError(f"no published templates for the set '{set_name}': there are {', '.join(PUBLISHED_TEMPLATES)}")
    return PUBLISHED_TEMPLATES[set_name]


_IMAGENET = templates("openai80")
_BIRDS = ("a photo of a {}, a type of bird.",)
_SCENES = ("a photo of a {}.", "a photo of the {}.")
_CIFAR = (
    "a photo of a {}.",
    "a blurry photo of a {}.",
    "a black and white photo of a {}.",
    "a low contrast photo of a {}.",
    "a high contrast photo of a {}.",
    "a bad photo of a {}.",
    "a good photo of a {}.",
    "a photo of a small {}.",
    "a photo of a big {}.",
    "a photo of the {}.",
    "a blurry photo of the {}.",
    "a black and white photo of the {}.",
    "a low contrast photo of the {}.",
    "a high contrast photo of the {}.",
    "a bad photo of the {}.",
    "a good photo of the {}.",
    "a photo of the small {}.",
    "a photo of the big {}.",
)

PUBLISHED_TEMPLATES = {
    "imagenet": _IMAGENET,
    "imagenet_v2": _IMAGENET,
    "imagenet100": _IMAGENET,
    "cub": _BIRDS,
    "food101": ("a photo of {}, a type of food.",),
    "pets": ("a photo of a {}, a type of pet.",),
    "flowers102": ("a photo of a {}, a type of flower.",),
    "places365": _SCENES,
    "eurosat": (
        "a centered satellite photo of {}.",
        "a centered satellite photo of a {}.",
        "a centered satellite photo of the {}.",
    ),
    "dtd": (
        "a photo of a {} texture.",
        "a photo of a {} pattern.",
        "a photo of a {} thing.",
        "a photo of a {} object.",
        "a photo of the {} texture.",
        "a photo of the {} pattern.",
        "a photo of the {} thing.",
        "a photo of the {} object.",
    ),
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "cars": (
        "a photo of a {}.",
        "a photo of the {}.",
        "a photo of my {}.",
        "i love my {}!",
        "a photo of my dirty {}.",
        "a photo of my clean {}.",
        "a photo of my new {}.",
        "a photo of my old {}.",
    ),
    "aircraft": ("a photo of a {}, a type of aircraft.", "a photo of the {}, a type of aircraft."),
    "birdsnap": _BIRDS,
}
