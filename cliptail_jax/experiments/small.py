"""Small counterparts of the paper's runs, on long-tailed glyphs and CIFAR-100, for configs/study/paper.py."""

import dataclasses
from collections.abc import Sequence

from cliptail_jax.experiments.catalogue import PaperRun
from cliptail_jax.experiments.training import ALL_TEXT, PROTOTYPES, SMALL_PROTOTYPES
from cliptail_jax.host.errors import UserError

# By family that makes sense on small images: its presets. The claims on trimmed tails need frozen heads and towers, which these
# runs lack; claims_small.py tests them.
PRESETS = {
    "captions": ("glyphs_lt",),
    "diversity": ("glyphs_lt",),
    "vocabulary": ("glyphs_lt", "cifar100_lt"),
    "scale": ("glyphs_lt", "cifar100_lt"),
    "trimmed_tail": ("glyphs_lt", "cifar100_lt"),
    "dino": ("glyphs_lt", "cifar100_lt"),
}
# The number of images that share a sampled vocabulary, and its sizes for 100 classes by the paper's sizes for 1,000. 32 images
# have about 23 classes, so the smallest vocabulary needs few other classes. The same is true of the paper, whose 64 images have
# about 62 classes.
GROUP = 32
VOCABULARIES = {50: 20, 100: 40, 200: 60, 500: 80}
# By the paper's threshold: one that 76, 51, 36 and 24 % of the glyphs reach; and how many long-tailed images reach the last.
THRESHOLDS, IMAGES = {0.7: 0.4, 0.75: 0.5, 0.8: 0.55, 0.82: 0.6}, 2400


def available_families(families: Sequence[str], preset: str, skip_others: bool) -> list[str]:
    """The families that have runs on a preset. Raises UserError if a family has none, unless `skip_others`."""
    available_names = [family for family in families if preset in PRESETS.get(family, ())]
    if not available_names or not skip_others and available_names != families:
        missing_family = next(family for family in families if family not in available_names)
        presets_text = "; ".join(f"{family} on {' or '.join(presets)}" for family, presets in PRESETS.items())
        raise UserError(f"the family {missing_family} is not available with small={preset}; there are {presets_text}")
    return available_names


def has_counterpart(run: PaperRun) -> bool:
    """Whether a run needs no published towers or heads, WordNet's synsets or ImageNet."""
    return (
        run.tower in ("", "random")
        and "synset" not in run.arguments.get("captions", "")
        and run.arguments["data"] != "imagenet2012"
    )


def counterpart(run: PaperRun, preset: str) -> PaperRun:
    """The run on small images, with fewer classes, prototypes and images, and with sizes reduced in proportion."""
    arguments = dict(run.arguments)
    if run.family == "captions":  # the captions of other families are class names
        arguments.setdefault("captions", ALL_TEXT)
    factor = run.factor.removeprefix(arguments["data"]).removeprefix("_")
    arguments["data"] = preset
    for argument in ("vocabulary", "prototypes", "tail_classes"):
        if size := arguments.get(argument):
            arguments[argument] = reduced_size(argument, size, run.method == "dino")
            factor = factor.replace(str(size), str(arguments[argument]))
    if threshold := arguments.get("threshold"):
        arguments |= {"threshold": THRESHOLDS[threshold], "n": IMAGES}
        factor = f"threshold_{str(THRESHOLDS[threshold]).replace('.', '')}"
    if "sampling" in arguments:
        arguments["group"] = GROUP
    return dataclasses.replace(run, factor=factor, arguments=arguments)


def reduced_size(argument: str, size: int, is_prototypes: bool) -> int:
    if is_prototypes:
        return size * SMALL_PROTOTYPES // PROTOTYPES
    return VOCABULARIES[size] if argument == "vocabulary" else max(1, size // 10)
