"""Small counterparts of the study's runs, for configs/study/paper.py: on long-tailed glyphs and CIFAR-100."""

from cliptail_jax.errors import UserError
from configs import clip

# The families that small images can have. What is claimed of trimmed tails is so of frozen heads and towers, which these
# runs are without: claims_small.py tests it.
PRESETS = {
    "captions": ("glyphs_lt",),
    "diversity": ("glyphs_lt",),
    "vocabulary": ("glyphs_lt", "cifar100_lt"),
    "scale": ("glyphs_lt", "cifar100_lt"),
    "trimmed_tail": ("glyphs_lt", "cifar100_lt"),
    "dino": ("glyphs_lt", "cifar100_lt"),
}
# Images that share a sampled vocabulary, and its classes of 100 for the study's of 1,000. 32 images themselves have some 23
# classes, so that, as in the study, whose 64 images have some 62, next to none are drawn for the smallest vocabulary.
GROUP = 32
VOCABULARIES = {50: 20, 100: 40, 200: 60, 500: 80}
# Similarities that 76, 51, 36 and 24 % of the glyphs have, and the long-tailed images that there are of the last.
THRESHOLDS, IMAGES = {0.7: 0.4, 0.75: 0.5, 0.8: 0.55, 0.82: 0.6}, 2400


def those_of(families: list[str], preset: str, some: bool) -> list[str]:
    """The families that a preset can have: all of those named, or `some` of them."""
    there = [family for family in families if preset in PRESETS.get(family, ())]
    if not there or not some and there != families:
        lacking = next(family for family in families if family not in there)
        known = "; ".join(f"{family} on {' or '.join(presets)}" for family, presets in PRESETS.items())
        raise UserError(f"the family {lacking} is not to be had with small={preset}; there are {known}")
    return there


def has(string: str) -> bool:
    """Whether a run does without published towers and heads, WordNet's synsets and ImageNet."""
    needs = ("text=init", "text=frozen", "text=roberta", "head=clip", "synset", "imagenet2012")
    return not any(part in string for part in needs)


def counterpart(name: str, string: str, preset: str) -> tuple[str, str]:
    """The name and the string of a run on small images: with fewer classes, prototypes and
    images, and as much less drawn or cut."""
    path, _, arguments = string.partition(":")
    given = dict(item.split("=") for item in arguments.split(","))
    if name.startswith("clip_captions"):  # the other families' captions are class names
        given.setdefault("captions", clip.ALL_TEXT)
    name, given["data"] = name.replace(f"_{given['data']}", ""), preset
    for argument in ("vocabulary", "prototypes", "tail_classes"):
        if argument in given:
            size = int(given[argument])
            less = fewer(argument, size, "dino" in path)
            name, given[argument] = name.replace(f"_{size}", f"_{less}"), str(less)
    if threshold := given.get("threshold"):
        less = str(THRESHOLDS[float(threshold)])
        name = name.replace(f"_{threshold.replace('.', '')}_", f"_{less.replace('.', '')}_")
        given.update(threshold=less, n=str(IMAGES))
    if "sampling" in given:
        given["group"] = str(GROUP)
    return name, f"{path}:{','.join(f'{key}={value}' for key, value in given.items())}"


def fewer(argument: str, size: int, of_prototypes: bool) -> int:
    if of_prototypes:
        return size // 16
    return VOCABULARIES[size] if argument == "vocabulary" else max(1, size // 10)
