"""All training runs of the paper by family: 170 names, and seven more runs that appear in figures.

`cliptail study --list` prints them, and `cliptail study paper:family=NAME` trains those of a family.
"""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class Family(NamedTuple):
    title: str
    section: str  # of the paper, arXiv 2405.21070


FAMILIES = {
    "captions": Family("Descriptiveness of captions", "3.2"),
    "vocabulary": Family("Vocabulary size", "3.3"),
    "distribution": Family("Data distribution", "3.4"),
    "diversity": Family("Intra-class diversity", "3.4"),
    "imbalance": Family("Imbalance", "3.4"),
    "scale": Family("Data scale", "3.5"),
    "concept_set": Family("Open-world concepts", "3.6"),
    "trimmed_tail": Family("Few- and zero-shot tails", "4.1"),
    "dino": Family("Sampled prototypes in self-supervision", "4.2"),
    "figures": Family("Further runs of the figures", "3 and 4"),  # not among the 170
}
CONFIGS = {"clip": "clip", "sl": "sup", "dino": "dino"}


@dataclasses.dataclass(frozen=True)
class PaperRun:
    """A run with its name in the paper. Two runs of different families may be the same training."""

    method: str  # a key of CONFIGS
    family: str
    factor: str  # what distinguishes the run within its family
    tower: str  # the text tower of CLIP or the head of SL, by its key in TOWERS; '' for DINO
    arguments: Mapping[str, Any]  # of the config file
    changes: str  # a description

    @property
    def name(self) -> str:
        family = "" if self.method == "dino" else self.family
        return "_".join(part for part in (self.method, family, self.factor, self.tower) if part)

    @property
    def config(self) -> str:
        """The value of --config."""
        return config_string(self.method, self.arguments)


def config_string(method: str, arguments: Mapping[str, Any]) -> str:
    """The config file of a method with its arguments, as in 'clip:data=laionet,fraction=1'."""
    return f"{CONFIGS[method]}:{','.join(f'{key}={value}' for key, value in arguments.items())}"


Factor = tuple[Mapping[str, Any], str]  # arguments of the config file, and the change in words
Factors = Mapping[str, Factor]  # by their names

# By method: the argument of the config file that chooses the tower, and a description of each choice.
TOWERS = {
    "clip": ("text", {
        "random": "text tower trained from scratch",
        "init": "text tower starts as CLIP's",
        "frozen": "text tower is CLIP's, frozen",
        "roberta": "text tower is RoBERTa, frozen",
    }),
    "sl": ("head", {"random": "random head", "clip": "head is CLIP's class embeddings, frozen"}),
}  # fmt: skip


def with_towers(method: str, family: str, factors: Factors, towers: Iterable[str]) -> list[PaperRun]:
    """A run for each factor and text tower or head."""
    argument, descriptions = TOWERS[method]
    return [
        PaperRun(method, family, factor, tower, {**arguments, argument: tower}, f"{changes}; {descriptions[tower]}")
        for factor, (arguments, changes) in factors.items()
        for tower in towers
    ]


clip = functools.partial(with_towers, "clip")
sup = functools.partial(with_towers, "sl")


def dino(family: str, factors: Factors) -> list[PaperRun]:
    return [
        PaperRun("dino", family, factor, "", arguments, changes) for factor, (arguments, changes) in factors.items()
    ]


in_captions = functools.partial(dict, data="imagenet_captions")
laionet = functools.partial(dict, data="laionet")
WHOLE = {"imagenet_captions": (in_captions(), "ImageNet-Captions, title, tags and description behind the class name")}
HUNDRED = {"imagenet_captions_100": (in_captions(classes="imagenet100"), "the 100 classes of ImageNet-100 alone")}
TENTH = {"10_percent": (in_captions(n=44548), "10 % of the images, as many as those of ImageNet-100's classes")}
TENTH_NAMES = {
    "10_percent_a_cname": (in_captions(n=44548, captions="a+cname"), "10 % of the images; captions are 'a CLASS'")
}
NAMED = {
    "cc12m_cls": ({"data": "cc12m_cls"}, "CC12M's captions that name a class"),
    "yfcc15m_cls": ({"data": "yfcc15m_cls"}, "YFCC15M's captions that name a class"),
}
SUBSETS = {
    fields.replace("+", "_"): (in_captions(captions=fields), f"{fields.replace('+', ' and ')} behind the class name")
    for fields in ("title", "tags", "description", "title+tags", "title+description", "tags+description")
}
TEMPLATES = {
    "openai80": (in_captions(captions="openai80"), "templates around the class name in place of texts"),
    "openai80_synset": (in_captions(captions="openai80+synset"), "templates around a lemma of the class's synset"),
}
# ImageNet-Captions' class frequency, as written by `cliptail describe --workdir=in_captions`.
FREQUENCY = "in_captions/class_frequency.tsv"
MATCHED = {"laionet_matched": (laionet(match=FREQUENCY), "LAIONet with ImageNet-Captions' class frequency")}
DIVERSITY = {
    f"threshold_{str(threshold).replace('.', '')}": (
        laionet(threshold=threshold, n=448896),
        f"448,896 pairs of LAIONet of similarity {threshold} and more",
    )
    for threshold in (0.7, 0.75, 0.8, 0.82)
}
LAIONET_N = {"laionet_n": DIVERSITY["threshold_07"]}
SCALE = {
    "1": (laionet(fraction=1), "all of LAIONet"),
    **{f"1_{n}": (laionet(fraction=f"1/{n}"), f"1/{n} of LAIONet") for n in (2, 4, 8, 16, 32)},
}
CUTS = {
    f"{classes}_classes_{shots}_shot": (
        in_captions(tail_classes=classes, tail_shots=shots),
        f"the {classes} rarest classes have {'1 example' if shots else 'no examples'}",
    )
    for classes in (5, 20, 50, 100, 200, 500)
    for shots in (0, 1)
}
SAMPLED_CUTS = {
    f"{factor}_sampled": (
        {**arguments, "batch_size": 1024, "vocabulary": 50, "sampling": "linear"},
        f"{changes}; vocabulary of 50, linear",
    )
    for factor, (arguments, changes) in CUTS.items()
}
VOCABULARY = {"full": (in_captions(), "all 1,000 classes")} | {
    f"{size}_{sampling}": (
        in_captions(vocabulary=size, sampling=sampling),
        f"vocabulary of {size}, {'square root' if sampling == 'sqrt' else sampling}",
    )
    for size in (50, 100, 200, 500)
    for sampling in ("uniform", "linear", "sqrt")
}
LAIONET = {"laionet": (laionet(), "LAIONet")}
PROTOTYPES = {
    "imagenet": ({"data": "imagenet2012"}, "ImageNet"),
    **LAIONET,
    "laionet_16384": (laionet(prototypes=16384), "LAIONet; 16,384 prototypes"),
} | {
    f"laionet_sampled_{size}": (laionet(vocabulary=size), f"LAIONet; {size:,} of 65,536 prototypes a step")
    for size in (1024, 4096, 16384)
}
FRONT = {
    "a_cname": (in_captions(captions="a+cname"), "captions are 'a CLASS'"),
    "a_cname_all_text": (in_captions(captions="a+cname+title+tags+description"), "all texts behind 'a CLASS'"),
    "openai80_all_text": (in_captions(captions="openai80+title+tags+description"), "all texts behind a template"),
}

RUNS = (
    *clip("captions", WHOLE, ("random", "frozen")),
    *clip("captions", SUBSETS, ("random", "frozen", "init")),
    *clip("captions", TEMPLATES, ("random", "frozen")),
    *sup("vocabulary", VOCABULARY, ("random", "clip")),
    *clip("distribution", WHOLE | MATCHED, ("random", "frozen")),
    *sup("distribution", MATCHED, ("random", "clip")),
    *sup("distribution", LAIONET, ("clip",)),
    *clip("diversity", DIVERSITY, ("random", "frozen")),
    *clip("imbalance", MATCHED | LAIONET_N, ("random", "frozen")),
    *clip("scale", SCALE, ("random", "init", "frozen", "roberta")),
    *clip("concept_set", HUNDRED, ("random", "frozen")),
    *clip("concept_set", TENTH | TENTH_NAMES, ("frozen",)),
    *clip("concept_set", NAMED, ("random",)),
    *sup(
        "concept_set",
        {"imagenet_captions": (in_captions(), "ImageNet-Captions")} | HUNDRED | TENTH | NAMED,
        ("random",),
    ),
    *clip("trimmed_tail", CUTS, ("random", "frozen")),
    *sup("trimmed_tail", CUTS, ("random", "clip")),
    *sup("trimmed_tail", SAMPLED_CUTS, ("clip",)),
    *dino("dino", PROTOTYPES),
)
FURTHER_RUNS = (
    *sup("figures", LAIONET, ("random",)),
    *sup("figures", HUNDRED | TENTH, ("clip",)),
    *clip("figures", FRONT, ("random",)),
    *dino("figures", {"imagenet_batch_512": ({"data": "imagenet2012", "batch_size": 512}, "ImageNet; batch 512")}),
)
PAPER_RUNS = (*RUNS, *FURTHER_RUNS)


def first_names() -> dict[str, str]:
    """For each run's name, the first name with the same training. Equal trainings have equal config strings."""
    first: dict[str, str] = {}
    return {run.name: first.setdefault(run.config, run.name) for run in PAPER_RUNS}
