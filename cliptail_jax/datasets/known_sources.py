"""One entry per data source: builder, class names, presets, evaluation sets, transfer sets.

To add a source, add an entry to `KNOWN_SOURCES` and, if TFDS has no builder, a builder module in this folder and its options
in `options.py`. Any prepared data set can be used by its TFDS name; an entry adds short names and class names.

Prompt templates are CLIP's, in the order of github.com/openai/CLIP, data/prompts.md. It has none for Places365 and CUB,
which use the templates of SUN397 (also scenes) and Birdsnap (also birds). Transfer sets follow Ericsson et al. (2021),
"How Well Do Self-Supervised Models Transfer?" (github.com/linusericsson/ssl-transfer), plus Birdsnap.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from cliptail_jax.concepts.class_lists import LONGEST
from cliptail_jax.concepts.templates import read_templates


@dataclasses.dataclass(frozen=True)
class Preset:
    """The data that `data=NAME` selects in a config file.

    Attributes:
        evaluation_sets: the sets on which a run is evaluated.
        fields: values of `config.data`; its `name` is the source's unless given.
        small: whether images have 32 or 64 pixels, for which config files choose small models.
        fill: the source, as 'name:split', that supplies the records that `match=` finds missing.
        texts: the text fields that are captions unless `fields` names them.
        records: the number of records of a set that is not in `PRESETS`.
        side: the width and height of images for small networks, in pixels.
        has_names: whether its classes have names, and not only numbers.
    """

    evaluation_sets: tuple[str, ...]
    fields: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    small: bool = False
    fill: str = ""
    texts: tuple[str, ...] = ()
    records: int = 0
    side: int = 32
    has_names: bool = True


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
    """A labelled split to evaluate on.

    Attributes:
        name: its short name, or 'source:split'.
        split: the split's name.
        templates: its prompt templates.
        classes: the class list to whose classes it is restricted to; '' for all.
        counted_as: the set whose published class frequencies in pre-training corpora apply; '' for itself.
        source: the entry of `KNOWN_SOURCES` that lists it.
    """

    name: str
    split: str
    templates: tuple[str, ...] = dataclasses.field(repr=False)
    classes: str = ""
    counted_as: str = ""
    source: "KnownSource" = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True)
class TransferSet:
    """The splits of a transfer experiment.

    Attributes:
        name: its short name, or 'source:train:test'.
        train: the split to train on.
        test: the split to test on.
        validation: the split for choosing hyper-parameters; '' if a share of `train` is held out.
        metric: 'accuracy', 'mean per-class accuracy' or '11-point mAP'.
        has_objects: whether an image shows objects of several classes, instead of being of one class.
        few_shot: whether few-shot episodes are made of it.
        note: a note for readers of its numbers.
        source: the entry of `KNOWN_SOURCES` that lists it.
    """

    name: str
    train: str
    test: str
    validation: str = ""
    metric: str = "accuracy"
    has_objects: bool = False
    few_shot: bool = True
    note: str = ""
    source: "KnownSource" = dataclasses.field(default=None, repr=False)

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(split for split in (self.train, self.validation, self.test) if split)


@dataclasses.dataclass(frozen=True)
class KnownSource:
    """One data source.

    Attributes:
        name: the prepared data set's name, as `open_source` takes it: 'oxford_iiit_pet', 'fgvc_aircraft/variant'.
        builder: 'module:Class' of its builder in this folder; '' for a builder of TFDS.
        classes: the built-in class list with its class names; '' for the names of its labels.
        labels: its builder's name of a label -> the list's name, where they differ by more than case, '_', '-', '/'.
        has_numbered_labels: whether its builder calls labels '0', '1', ..., in the list's order.
        prompt_name: gives a class's name in CLIP's prompts, if it differs from the list (and so from the paper's
            frequency tables).
        presets, evaluation_sets, transfer_sets: the uses of the source.
    """

    name: str
    builder: str = ""
    classes: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    has_numbered_labels: bool = False
    prompt_name: Callable[[str], str] = str
    presets: Mapping[str, Preset] = dataclasses.field(default_factory=dict)
    evaluation_sets: tuple[EvaluationSet, ...] = ()
    transfer_sets: tuple[TransferSet, ...] = ()


LONG_TAILED = dict(name="exponential", ratio=100.0, exponent=1.0)
PER_CLASS = "mean per-class accuracy"

OPENAI80 = read_templates("openai80")
BIRDS = ("a photo of a {}, a type of bird.",)
CIFAR = read_templates("cifar")
FLOWERS_IN_PROMPTS = {"pink-yellow dahlia": "pink and yellow dahlia", "lotus lotus": "lotus"}
IMAGENETS = ("imagenet", "imagenet_v2")


def labelled_by_words(name: str, *fields: str) -> Preset:
    """Image-text pairs whose text fields name classes of ImageNet."""
    match = dict(classes="imagenet1k", rule="phrases", unique=False)
    return Preset(IMAGENETS, dict(name=name, captions=dict(words=fields), class_match=match))


KNOWN_SOURCES = (
    KnownSource(
        "glyphs",
        builder="glyphs.glyphs:Glyphs",
        presets={
            "glyphs": Preset(("glyphs:test",), small=True),
            "glyphs_lt": Preset(("glyphs:test",), dict(profile=LONG_TAILED), small=True),
        },
    ),
    KnownSource(
        "glyphs/composed",
        builder="glyphs.glyphs:Glyphs",
        presets={
            "composed": Preset(("glyphs/composed:test",), small=True),
            "composed_lt": Preset(("glyphs/composed:test",), dict(profile=LONG_TAILED), small=True),
        },
    ),
    KnownSource(
        "icons",
        builder="icons.icons:Icons",
        classes="icons",
        presets={
            "icons": Preset(
                ("icons:test",),
                dict(captions=dict(words=("name",)), class_match=dict(classes="icons", rule=LONGEST, unmatched="keep")),
                small=True,
            )
        },
        evaluation_sets=(EvaluationSet("icons:test", "test", ("{}",)),),
    ),
    *(
        KnownSource(
            f"imagenet_resized/{size}x{size}",
            presets={
                f"imagenet{size}": Preset(
                    (f"imagenet_resized/{size}x{size}:validation",), dict(image_size=size), small=True
                )
            },
        )
        for size in (32, 64)
    ),
    KnownSource(
        "imagenet2012",
        presets={"imagenet2012": Preset(IMAGENETS)},
        evaluation_sets=(
            EvaluationSet("imagenet", "validation", OPENAI80),
            EvaluationSet("imagenet100", "validation", OPENAI80, classes="imagenet100", counted_as="imagenet"),
        ),
    ),
    KnownSource(
        "imagenet_v2/matched-frequency",
        evaluation_sets=(EvaluationSet("imagenet_v2", "test", OPENAI80, counted_as="imagenet"),),
    ),
    KnownSource(
        "imagenet_captions",
        builder="imagenet_captions:ImagenetCaptions",
        presets={"imagenet_captions": Preset((*IMAGENETS, "imagenet100"))},
    ),
    KnownSource(
        "laionet",
        builder="laionet:Laionet",
        presets={
            "laionet": Preset(
                IMAGENETS,
                dict(captions=dict(words=("text",)), min_similarity=0.7, keep_all_classes=True),
                fill="laionet/retrieved:train",
            )
        },
    ),
    KnownSource("image_folder", builder="image_folder:ImageFolder"),
    KnownSource(
        "image_text",
        builder="image_text:ImageText",
        presets={
            "yfcc15m_cls": labelled_by_words("image_text/yfcc15m", "title", "description"),
            "cc12m_cls": labelled_by_words("image_text/cc12m", "caption"),
        },
    ),
    KnownSource(
        "cifar100",
        classes="cifar100",
        presets={
            "cifar100": Preset(("cifar100:test",), dict(flip=True), small=True),
            "cifar100_lt": Preset(("cifar100:test",), dict(flip=True, profile=LONG_TAILED), small=True),
        },
        evaluation_sets=(EvaluationSet("cifar100", "test", CIFAR),),
        transfer_sets=(TransferSet("cifar100", "train", "test"),),
    ),
    KnownSource(
        "cifar10",
        classes="cifar10",
        evaluation_sets=(EvaluationSet("cifar10", "test", CIFAR),),
        transfer_sets=(TransferSet("cifar10", "train", "test"),),
    ),
    KnownSource(
        "caltech_birds2011",
        classes="cub",
        has_numbered_labels=True,
        evaluation_sets=(EvaluationSet("cub", "test", BIRDS),),
    ),
    KnownSource(
        "birdsnap",
        builder="birdsnap:Birdsnap",
        classes="birdsnap",
        evaluation_sets=(EvaluationSet("birdsnap", "test", BIRDS),),
        transfer_sets=(
            TransferSet(
                *("birdsnap", "train", "test"),
                few_shot=False,
                note="trained on all official training images that are still available; the paper's training set is 90 % "
                "of them",
            ),
        ),
    ),
    KnownSource(
        "fgvc_aircraft/variant",
        builder="fgvc_aircraft:FgvcAircraft",
        classes="aircraft",
        evaluation_sets=(EvaluationSet("aircraft", "test", read_templates("aircraft")),),
        transfer_sets=(TransferSet("aircraft", "train", "test", "validation", PER_CLASS),),
    ),
    KnownSource(
        "caltech101",
        classes="caltech101",
        transfer_sets=(
            TransferSet(
                *("caltech101", "train", "test"),
                metric=PER_CLASS,
                note="102 classes, including the background class as in the paper, split by TFDS (30 images a class to "
                "train on: 3,060 / 6,084); the paper's lists split the same images 2,416 / 6,728",
            ),
        ),
    ),
    KnownSource(
        "cars196",
        classes="cars",
        evaluation_sets=(EvaluationSet("cars", "test", read_templates("cars")),),
        transfer_sets=(TransferSet("cars", "train", "test"),),
    ),
    KnownSource(
        "dtd",
        classes="dtd",
        evaluation_sets=(EvaluationSet("dtd", "test", read_templates("dtd")),),
        transfer_sets=(TransferSet("dtd", "train", "test", "validation"),),
    ),
    KnownSource(
        "eurosat/rgb",
        classes="eurosat",
        labels={
            "AnnualCrop": "annual crop land",
            "HerbaceousVegetation": "brushland or shrubland",
            "Highway": "highway or road",
            "Industrial": "industrial buildings or commercial buildings",
            "Pasture": "pasture land",
            "PermanentCrop": "permanent crop land",
            "Residential": "residential buildings or homes or apartments",
            "SeaLake": "lake or sea",
        },
        evaluation_sets=(EvaluationSet("eurosat", "train", read_templates("eurosat")),),  # its only split
    ),
    KnownSource(
        "food101",
        classes="food101",
        # TFDS calls the test images 'validation'.
        evaluation_sets=(EvaluationSet("food101", "validation", ("a photo of {}, a type of food.",)),),
        transfer_sets=(TransferSet("food101", "train", "validation"),),
    ),
    KnownSource(
        "oxford_flowers102",
        classes="flowers102",
        labels={"pink-yellow dahlia?": "pink-yellow dahlia", "lotus": "lotus lotus"},
        prompt_name=lambda name: FLOWERS_IN_PROMPTS.get(name, name),
        evaluation_sets=(EvaluationSet("flowers102", "test", ("a photo of a {}, a type of flower.",)),),
        transfer_sets=(TransferSet("flowers102", "train", "test", "validation", PER_CLASS),),
    ),
    KnownSource(
        "oxford_iiit_pet",
        classes="pets",
        evaluation_sets=(EvaluationSet("pets", "test", ("a photo of a {}, a type of pet.",)),),
        transfer_sets=(TransferSet("pets", "train", "test", metric=PER_CLASS),),
    ),
    KnownSource(
        "places365_small",
        classes="places365",
        labels={"arcade": "arcade (passageway)", "lock chamber": "lock chamber (canal)"},
        prompt_name=lambda name: name.replace("-", " "),  # 'desert sand', as in CLIP's prompts for SUN397
        # TFDS has no labels of the test images.
        evaluation_sets=(EvaluationSet("places365", "validation", ("a photo of a {}.", "a photo of the {}.")),),
    ),
    KnownSource(
        "sun397/standard-part1-120k",
        classes="sun397",
        transfer_sets=(
            TransferSet(
                *("sun397", "train", "test"),
                note="the first official partition, its images shrunk by TFDS to 120,000 pixels at most",
            ),
        ),
    ),
    KnownSource(
        "voc/2007",
        classes="voc2007",
        transfer_sets=(
            TransferSet(*("voc2007", "train", "test", "validation", "11-point mAP"), has_objects=True, few_shot=False),
        ),
    ),
)

BUILDERS = {source.name.partition("/")[0]: source.builder for source in KNOWN_SOURCES if source.builder}
PRESETS = {
    name: dataclasses.replace(preset, fields={"name": source.name} | preset.fields)
    for source in KNOWN_SOURCES
    for name, preset in source.presets.items()
}
EVALUATION_SETS = {
    entry.name: dataclasses.replace(entry, source=source)
    for source in KNOWN_SOURCES
    for entry in source.evaluation_sets
}
TRANSFER_SETS = dict(
    sorted(
        (entry.name, dataclasses.replace(entry, source=source))
        for source in KNOWN_SOURCES
        for entry in source.transfer_sets
    )
)
