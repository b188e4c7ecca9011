"""Small counterparts of the paper's runs, for configs/study/paper.py: on long-tailed glyphs and CIFAR-100."""

import dataclasses
from collections.abc import Sequence

from cliptail_jax.experiments.catalogue import PaperRun
from cliptail_jax.experiments.training import ALL_TEXT, PROTOTYPES, SMALL_PROTOTYPES
from cliptail_jax.host.errors import UserError

# The families that make sense on small images. The claims on trimmed tails need frozen heads and towers, which these runs
# lack: claims_small.py tests them.
PRESETS = {
    "captions": ("glyphs_lt",),
    "diversity": ("glyphs_lt",),
    "vocabulary": ("glyphs_lt", "cifar100_lt"),
    "scale": ("glyphs_lt", "cifar100_lt"),
    "trimmed_tail": ("glyphs_lt", "cifar100_lt"),
    "dino": ("glyphs_lt", "cifar100_lt"),
}
# The number of images that share a sampled vocabulary, and its sizes for 100 classes by the paper's for 1,000. 32 images have
# about 23 classes, so that, as in the paper, whose 64 images have about 62, the smallest vocabulary needs few other classes.
GROUP = 32
VOCABULARIES = {50: 20, 100: 40, 200: 60, 500: 80}
# Thresholds that 76, 51, 36 and 24 % of the glyphs reach, and the number of long-tailed images that reach the last.
THRESHOLDS, IMAGES = {0.7: 0.4, 0.75: 0.5, 0.8: 0.55, 0.82: 0.6}, 2400


def available(families: Sequence[str], preset: str, skip_others: bool) -> list[str]:
    """The families that have runs on a preset. Raises UserError if one has none, unless others are skipped."""
    known = [family for family in families if preset in PRESETS.get(family, ())]
    if not known or not skip_others and known != families:
        lacking = next(family for family in families if family not in known)
        listed = "; ".join(f"{family} on {' or '.join(presets)}" for family, presets in PRESETS.items())
        raise UserError(f"the family {lacking} is not available with small={preset}; there are {listed}")
    return known


def has_counterpart(run: PaperRun) -> bool:
    """Whether a run needs no published towers or heads, WordNet's synsets or ImageNet."""
    return (
        run.tower in ("", "random")
        and "synset" not in run.arguments.get("captions", "")
        and run.arguments["data"] != "imagenet2012"
    )


def counterpart(run: PaperRun, preset: str) -> PaperRun:
    """The run on small images, with fewer classes, prototypes and images, and sizes reduced in proportion."""
    arguments = dict(run.arguments)
    if run.family == "captions":  # the captions of other families are class names
        arguments.setdefault("captions", ALL_TEXT)
    factor = run.factor.removeprefix(arguments["data"]).removeprefix("_")
    arguments["data"] = preset
    for argument in ("vocabulary", "prototypes", "tail_classes"):
        if size := arguments.get(argument):
            arguments[argument] = fewer(argument, size, run.method == "dino")
            factor = factor.replace(str(size), str(arguments[argument]))
    if threshold := arguments.get("threshold"):
        arguments |= {"threshold": THRESHOLDS[threshold], "n": IMAGES}
        factor = f"threshold_{str(THRESHOLDS[threshold]).replace('.', '')}"
    if "sampling" in arguments:
        arguments["group"] = GROUP
    return dataclasses.replace(run, factor=factor, arguments=arguments)


def fewer(argument: str, size: int, of_prototypes: bool) -> int:
    if of_prototypes:
        return size * SMALL_PROTOTYPES // PROTOTYPES
    return VOCABULARIES[size] if argument == "vocabulary" else max(1, size // 10)
