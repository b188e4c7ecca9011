"""The paper's figures of the runs of configs/study/paper.py: which runs each shows, and as what.

Cells are those of cliptail_jax.figures' sheets. They are made of a run's name in the catalogue, which says what it is, and
of its config string, which is another where images are small.
"""

import re
from collections.abc import Mapping

from configs import clip

Arguments = Mapping[str, str]  # of a run's config string
Cells = tuple[str, ...] | None  # None for a run that the figure does not show

GROUP = {
    ("clip", "random"): "CLIP",
    ("clip", "init"): "CLIP, text tower pre-trained",
    ("clip", "frozen"): "CLIP, text tower frozen",
    ("clip", "roberta"): "CLIP, RoBERTa frozen",
    ("sl", "random"): "SL",
    ("sl", "clip"): "SL, head frozen",
}
HEADS = {"random": "random", "frozen": "frozen", "clip": "frozen"}
SAMPLING = {"uniform": "", "linear": ", linear", "sqrt": ", root"}
CORPORA = {
    "cc12m_cls": "CC12M-Cls",
    "yfcc15m_cls": "YFCC15M-Cls",
    "laionet_n": "LAIONet",
    "laionet_matched": "LAIONet, matched",
    "imagenet_captions": "ImageNet-Captions",
}
CONCEPTS = {
    "imagenet_captions_100": "100 classes",
    "10_percent": "1,000 classes",
    "imagenet_captions": "1,000 classes, all images",
}
# Where the catalogue's order is not the figure's: of a row, by its last cell. Transfer's first is the baseline: all prototypes.
PLACES = {concepts: place for place, concepts in enumerate(CONCEPTS.values())}
PLACES |= {"on ImageNet": 1, "on ImageNet, batch 512": 1}


def figures(runs: Mapping[str, tuple[str, str]]) -> dict[str, dict]:
    """The figures of which there are several runs, as `cliptail_jax.study.sheets` takes them.

    `runs` has by its name in the catalogue each run's name in the study, and its config string.
    """
    found = {}
    for figure, (columns, cells_of) in FIGURES.items():
        rows = []
        for name, (in_study, string) in runs.items():
            given = dict(item.split("=") for item in string.partition(":")[2].split(","))
            if cells := cells_of(name, given):
                rows.append((in_study, *cells))
        rows.sort(key=lambda row: PLACES.get(row[-1], 0))
        if len({run for run, *_ in rows}) > 1:
            found[figure] = dict(columns=columns, rows=tuple(dict.fromkeys(rows)))
    return found


def corpora(name: str, given: Arguments) -> Cells:
    found = re.fullmatch(r"(clip|sl)_(?:distribution|concept_set)_(\w+)_random", name)
    if found and found[2] in CORPORA:
        return "imagenet+imagenet_v2", found[1].upper(), CORPORA[found[2]], "RN50"


def captions_vocabulary(name: str, given: Arguments) -> Cells:
    if found := re.fullmatch(r"clip_(?:captions|figures)_\w+_(random|frozen)", name):
        texts = given.get("captions", clip.ALL_TEXT)
        texts = "all text" if texts == clip.ALL_TEXT else texts.replace("title+tags+description", "all text")
        return "CLIP by captions", HEADS[found[1]], texts
    if found := re.fullmatch(r"sl_vocabulary_\w+_(random|clip)", name):
        size = given["vocabulary"] + SAMPLING[given["sampling"]] if "vocabulary" in given else "all"
        return "SL by vocabulary", HEADS[found[1]], size


def scale(name: str, given: Arguments) -> Cells:
    if found := re.fullmatch(r"(?:(clip)_scale_1|(sl)_(?:figures|distribution)_laionet)(?:_\d+)?_([a-z]+)", name):
        return (GROUP[found[1] or found[2], found[3]],)


def diversity(name: str, given: Arguments) -> Cells:
    if found := re.fullmatch(r"(clip)_diversity_threshold_\d+_(\w+)", name):
        return GROUP[found.groups()], given["threshold"], "similarity threshold"
    if found := re.fullmatch(r"(clip)_(?:imbalance|distribution)_(\w+)_(random|frozen)", name):
        return GROUP[found[1], found[3]], CORPORA[found[2]], "class frequencies"


def open_world(name: str, given: Arguments) -> Cells:
    found = re.fullmatch(r"(clip|sl)_(?:concept_set|figures|distribution)_(\w+)_(random|frozen|clip)", name)
    if found and found[2] in CONCEPTS:
        return "imagenet100", GROUP[found[1], found[3]], CONCEPTS[found[2]]


def trimmed_tail(name: str, given: Arguments) -> Cells:
    if found := re.fullmatch(r"(clip|sl)_trimmed_tail_\d+_classes_\d_shot(_sampled)?_(\w+)", name):
        return (GROUP[found[1], found[3]] + ", vocabulary sampled" * bool(found[2]),)


def transfer(name: str, given: Arguments) -> Cells:
    if name.startswith("dino_laionet"):
        fewer, sampled = int(given.get("prototypes", 0)), int(given.get("vocabulary", 0))
        return (f"{fewer:,} prototypes" if fewer else f"{sampled:,} sampled" if sampled else "all prototypes",)
    if name.startswith("dino_imagenet"):
        return ("on ImageNet" + f", batch {given.get('batch_size')}" * ("batch_size" in given),)


# By cliptail_jax.figures' names: columns of its sheet, and a run's cells of them.
FIGURES = {
    "corpora": (("set", "kind", "corpus", "backbone"), corpora),
    "captions_vocabulary": (("group", "head", "label"), captions_vocabulary),
    "scale": (("group",), scale),
    "diversity": (("group", "x", "axis"), diversity),
    "open_world": (("set", "group", "x"), open_world),
    "trimmed_tail": (("group",), trimmed_tail),
    "transfer": (("label",), transfer),
}
