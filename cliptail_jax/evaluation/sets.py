"""The evaluation sets by their short names: which split of which source, what its classes are called, its templates.

A source's labels become class names one by one, by the builder's name of each label, whatever order the labels are in.
"""

import dataclasses
from collections.abc import Sequence

from cliptail_jax.concepts.templates import templates
from cliptail_jax.concepts.vocabulary import imagenet_wnids, normalized_name
from cliptail_jax.config.training import base_config
from cliptail_jax.curation.variant import Variant, make_variant
from cliptail_jax.datasets.class_names import evaluation_names, vocabulary_names
from cliptail_jax.datasets.source import Source, open_source
from cliptail_jax.errors import UserError, did_you_mean
from cliptail_jax.evaluation.set_templates import published_templates


@dataclasses.dataclass(frozen=True)
class EvaluationSet:
    """A labelled split.

    Attributes:
        name: its short name, or 'source:split'.
        source: the prepared data set's name, as `open_source` takes it.
        split: the split's name.
        vocabulary: the built-in vocabulary with its class names; '' where they are the source's own.
        classes: the built-in vocabulary with the classes that it is cut to; '' for all.
        templates: its prompt templates.
    """

    name: str
    source: str
    split: str
    vocabulary: str
    classes: str
    templates: tuple[str, ...] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class OpenedSet:
    """An evaluation set that is there: all its records, and what prompts are made of.

    `variant.class_names` are the vocabulary's, by which frequency tables and heads are joined; `prompt_names` are the
    same classes in the same order as prompts say them, where two may have one name.
    """

    name: str
    variant: Variant
    prompt_names: tuple[str, ...]
    templates: tuple[str, ...]


# Short name -> source, split, vocabulary of its class names, vocabulary of the classes that it is cut to.
# TFDS has food101's test images as 'validation', labels for places365's 'validation' but not for its 'test', and all of
# EuroSAT as 'train'.
SETS = {
    "imagenet": ("imagenet2012", "validation", "", ""),
    "imagenet_v2": ("imagenet_v2/matched-frequency", "test", "", ""),
    "imagenet100": ("imagenet2012", "validation", "", "imagenet100"),
    "cub": ("caltech_birds2011", "test", "cub", ""),
    "food101": ("food101", "validation", "food101", ""),
    "pets": ("oxford_iiit_pet", "test", "pets", ""),
    "flowers102": ("oxford_flowers102", "test", "flowers102", ""),
    "places365": ("places365_small", "validation", "places365", ""),
    "eurosat": ("eurosat/rgb", "train", "eurosat", ""),
    "dtd": ("dtd", "test", "dtd", ""),
    "cifar10": ("cifar10", "test", "cifar10", ""),
    "cifar100": ("cifar100", "test", "cifar100", ""),
    "cars": ("cars196", "test", "cars", ""),
    "aircraft": ("fgvc_aircraft/variant", "test", "aircraft", ""),
    "birdsnap": ("birdsnap", "test", "birdsnap", ""),
}

# Vocabulary -> the builder's name of a label -> the vocabulary's, where they differ by more than case, '_', '-', '/'.
LABELS = {
    "eurosat": {
        "AnnualCrop": "annual crop land",
        "HerbaceousVegetation": "brushland or shrubland",
        "Highway": "highway or road",
        "Industrial": "industrial buildings or commercial buildings",
        "Pasture": "pasture land",
        "PermanentCrop": "permanent crop land",
        "Residential": "residential buildings or homes or apartments",
        "SeaLake": "lake or sea",
    },
    "flowers102": {"pink-yellow dahlia?": "pink-yellow dahlia", "lotus": "lotus lotus"},
    "places365": {"arcade": "arcade (passageway)", "lock chamber": "lock chamber (canal)"},
}

# What CLIP's prompts (github.com/openai/CLIP, data/prompts.md) call classes that the vocabulary, and so the study's
# frequency tables, call otherwise.
SAID = {"flowers102": {"pink-yellow dahlia": "pink and yellow dahlia", "lotus lotus": "lotus"}}


def evaluation_set(name: str) -> EvaluationSet:
    """The set of a short name, or for 'source:split' any other prepared set, under its builder's class names.

    Raises UserError for a short name that is none, naming those there are.
    """
    if name in SETS:
        return EvaluationSet(name, *SETS[name], published_templates(name))
    source, colon, split = name.rpartition(":")
    if not (colon and source and split):
        hint = did_you_mean(name.lower(), SETS)
        raise UserError(
            f"unknown evaluation set '{name}'{hint}: there are {', '.join(SETS)}, and any prepared set as 'name:split'"
        )
    return EvaluationSet(name, source, split, "", "", templates("photo"))


def open_set(name: str, data_dir: str) -> OpenedSet:
    """Opens an evaluation set that is prepared in `data_dir` ('': TFDS's default folder).

    Raises:
        UserError: there is no such set, it is not prepared or has no labels, or its labels are not the classes of the
            set's vocabulary.
    """
    chosen = evaluation_set(name)
    source = open_source(chosen.source, data_dir, chosen.split)
    if not source.class_names:
        raise UserError(f"evaluation set '{name}' has no labels: give a set with classes")
    if chosen.vocabulary:
        source = dataclasses.replace(source, class_names=names_of_labels(builder_labels(source), chosen))
    data = base_config().data  # all records, no captions
    data.classes.names = vocabulary_names(chosen.classes) if chosen.classes else ()
    variant = make_variant(source, data)
    return OpenedSet(name, variant, prompt_names(variant, chosen.vocabulary), chosen.templates)


def builder_labels(source: Source) -> tuple[str, ...]:
    """The builder's names of the labels, in label order.

    Those of caltech_birds2011 are numbers, and its records have the class's name as 'label_name'. Where no record of
    the split tells a class's name, its number stays.
    """
    if not all(name.isdigit() for name in source.class_names):
        return source.class_names
    labels = list(source.class_names)
    if "label_name" in source.metadata.column_names:
        table = source.columns("label", "label_name")
        for label, name in set(zip(table["label"].to_pylist(), table["label_name"].to_pylist())):
            labels[label] = name
    return tuple(labels)


def names_of_labels(labels: Sequence[str], chosen: EvaluationSet) -> tuple[str, ...]:
    """The vocabulary's names of labels that the builder calls `labels`, in the same order.

    CUB's numbers stand for the classes in the vocabulary's order. Raises UserError where a label is none of
    the vocabulary's classes, or two are the same.
    """
    names = vocabulary_names(chosen.vocabulary)
    name_of = {normalized_name(name): name for name in names}
    name_of |= {normalized_name(label): name for label, name in LABELS.get(chosen.vocabulary, {}).items()}
    if chosen.vocabulary == "cub":
        name_of |= {str(label): name for label, name in enumerate(names)}
    unknown = [label for label in labels if normalized_name(label) not in name_of]
    if unknown:
        raise UserError(
            f"data set '{chosen.source}' has the class '{unknown[0]}', which is none of the set '{chosen.name}': "
            f"prepare the original one, or evaluate this one under its own names as '{chosen.source}:{chosen.split}'"
        )
    found = [name_of[normalized_name(label)] for label in labels]
    twice = [name for name in found if found.count(name) > 1]
    if twice:
        first, second = [label for label, name in enumerate(found) if name == twice[0]][:2]
        raise UserError(
            f"data set '{chosen.source}' has the class '{twice[0]}' as label {first} and {second}: prepare it again"
        )
    return tuple(found)


def prompt_names(variant: Variant, vocabulary: str) -> tuple[str, ...]:
    """What prompts call the variant's classes, in label order."""
    names, source = variant.class_names, variant.source
    if source.wnids and set(source.wnids) <= set(imagenet_wnids()):
        wnid_of = dict(zip(source.class_names, source.wnids))
        return evaluation_names([wnid_of[name] for name in names])
    if vocabulary == "places365":  # 'desert-sand', as CLIP's prompts for SUN397 say 'desert sand'
        return tuple(name.replace("-", " ") for name in names)
    return tuple(SAID.get(vocabulary, {}).get(name, name) for name in names)
