"""Opens evaluation sets: all records of a labelled split, the names of its classes, and its prompt templates.

Labels are mapped to class names by the builder's name of each label, so that their order does not matter.
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from cliptail_jax.concepts.class_lists import imagenet_names, listed_names
from cliptail_jax.concepts.templates import templates
from cliptail_jax.config.training import Classes, Data
from cliptail_jax.curation.classes import random_classes
from cliptail_jax.curation.variant import Variant, make_variant
from cliptail_jax.datasets.known_sources import EVALUATION_SETS, EvaluationSet, KnownSource
from cliptail_jax.datasets.source import Source, open_source
from cliptail_jax.formats.class_names import normalized_name
from cliptail_jax.host.errors import UserError, did_you_mean


@dataclasses.dataclass(frozen=True)
class OpenedSet:
    """A prepared evaluation set.

    Attributes:
        name: its short name, or 'source:split'.
        variant: all its records; frequency tables and heads are joined by `variant.class_names`.
        prompt_names: the names of the same classes in prompts; two may be equal.
        templates: its prompt templates.
        class_list: the one with the phrases by which captions name its classes; '' if only their names are
            known.
    """

    name: str
    variant: Variant
    prompt_names: tuple[str, ...]
    templates: tuple[str, ...]
    class_list: str = ""

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.variant.class_names


class PromptedClasses(NamedTuple):
    """Classes without a set: `OpenedSet`'s attributes that prompts and class heads need."""

    name: str
    class_names: tuple[str, ...]
    prompt_names: tuple[str, ...]
    templates: tuple[str, ...]


def evaluation_set(name: str) -> EvaluationSet:
    """The set with a short name, or for 'source:split' any prepared set, with its builder's class names.

    Raises:
        UserError: The name is neither; the message lists the short names.
    """
    if name in EVALUATION_SETS:
        return EVALUATION_SETS[name]
    source, colon, split = name.rpartition(":")
    if not (colon and source and split):
        hint = did_you_mean(name.lower(), EVALUATION_SETS)
        raise UserError(
            f"unknown evaluation set '{name}'{hint}: there are {', '.join(EVALUATION_SETS)}, and any prepared set as "
            "'name:split'"
        )
    return EvaluationSet(name, split, templates("photo"), source=KnownSource(source))


def open_set(name: str, data_dir: str) -> OpenedSet:
    """Opens an evaluation set that is prepared in `data_dir` ('': TFDS's default folder).

    Raises:
        UserError: There is no such set, it is not prepared or has no labels, or its labels are not the classes of its
            class list.
    """
    entry = evaluation_set(name)
    source = open_source(entry.source.name, data_dir, entry.split)
    if not source.class_names:
        raise UserError(f"evaluation set '{name}' has no labels: give a set with classes")
    if entry.source.classes:
        source = dataclasses.replace(source, class_names=names_of_labels(builder_labels(source), entry))
    classes = listed_names(entry.classes) if entry.classes else ()
    variant = make_variant(source, Data(classes=Classes(names=classes)))  # all records, no captions
    names = prompt_names(variant, entry.source)
    return OpenedSet(name, variant, names, entry.templates, class_list_of(source) or entry.source.classes)


def class_list_of(source: Source) -> str:
    """The class list of ImageNet's classes, if a source has them; else ''."""
    is_imagenet = source.wnids and set(source.wnids) <= set(imagenet_names("imagenet1k"))
    return "imagenet1k" if is_imagenet else ""


def with_class_names(eval_set: OpenedSet, class_list: str) -> OpenedSet:
    """The set with other names of its classes in prompts and captions.

    Args:
        class_list: a built-in one or a file, with the classes of the set's source in the order of its labels; '' for none.

    Raises:
        UserError: it cannot be read, or has another number of classes.
    """
    if not class_list:
        return eval_set
    names, labels = listed_names(class_list), eval_set.variant.source.class_names
    if len(names) != len(labels):
        raise UserError(
            f"eval.class_names={class_list} has {len(names)} names, and '{eval_set.name}' has {len(labels)} classes: give one "
            "for each, in the order of its labels"
        )
    name_of = dict(zip(labels, names))
    new_names = tuple(name_of[name] for name in eval_set.variant.class_names)
    return dataclasses.replace(eval_set, prompt_names=new_names, class_list=class_list)


def builder_labels(source: Source) -> tuple[str, ...]:
    """The builder's names of the labels, in label order.

    Labels of caltech_birds2011 are numbers, and its records have the class name as 'label_name'. A class without a
    record in the split keeps its number.
    """
    if not all(name.isdigit() for name in source.class_names):
        return source.class_names
    labels = list(source.class_names)
    if "label_name" in source.metadata.column_names:
        columns = (source.metadata[column].to_pylist() for column in ("label", "label_name"))
        for label, name in set(zip(*columns)):
            labels[label] = name
    return tuple(labels)


def names_of_labels(labels: Sequence[str], entry: EvaluationSet) -> tuple[str, ...]:
    """The class list's names of the builder's labels, in the same order.

    Raises:
        UserError: A label is not a class of the list, or two labels are the same class.
    """
    source = entry.source
    names = listed_names(source.classes)
    name_of = {normalized_name(name): name for name in names}
    name_of |= {normalized_name(label): name for label, name in source.labels.items()}
    if source.has_numbered_labels:
        name_of |= {str(label): name for label, name in enumerate(names)}
    if unknown_labels := [label for label in labels if normalized_name(label) not in name_of]:
        raise UserError(
            f"data set '{source.name}' has the class '{unknown_labels[0]}', which is not in the set '{entry.name}': "
            f"prepare the original one, or evaluate this one with its own class names as '{source.name}:{entry.split}'"
        )
    class_names = tuple(name_of[normalized_name(label)] for label in labels)
    name, times = collections.Counter(class_names).most_common(1)[0]
    if times > 1:
        raise UserError(f"data set '{source.name}' has the class '{name}' as {times} labels: prepare it again")
    return class_names


def prompt_names(variant: Variant, known_source: KnownSource | None = None) -> tuple[str, ...]:
    """The names of the variant's classes in prompts, in label order; `known_source` is the source's entry, if it has one."""
    names, source, imagenet_prompts = variant.class_names, variant.source, imagenet_names("imagenet1k_eval")
    if source.wnids and set(source.wnids) <= set(imagenet_prompts):
        wnid_of = dict(zip(source.class_names, source.wnids))
        return tuple(imagenet_prompts[wnid_of[name]] for name in names)
    return tuple(map(known_source.prompt_name, names)) if known_source else names


def open_run_set(
    name: str, num_classes: int, data: Data, class_names: tuple[str, ...], uses_prompts: bool = False
) -> OpenedSet:
    """An evaluation set for a run: a short name has all its classes, 'name:split' has the run's.

    Args:
        num_classes: the number of the run's classes to select at random; 0 for all.
        class_names: the run's classes.
        uses_prompts: whether a set 'name:split' that lacks classes of the run may have all its own instead.
    """
    if ":" not in name or not class_names:
        return open_set(name, data.data_dir)
    if num_classes:
        if num_classes > len(class_names):
            raise UserError(f"eval.random_classes={num_classes}, but the run has {len(class_names)} classes")
        class_names = tuple(class_names[c] for c in random_classes(len(class_names), num_classes, data.seed))
    source_name, _, split = name.rpartition(":")
    names_file = data.class_names if source_name == data.name else ""
    source = open_source(source_name, data.data_dir, split, names_file)
    if missing_names := [c for c in class_names if c not in source.class_names]:
        if uses_prompts and not num_classes:
            return open_set(name, data.data_dir)
        raise UserError(
            f"eval.sets: '{name}' lacks {len(missing_names)} of the training classes, such as '{missing_names[0]}'"
        )
    classes = Classes(names=() if class_names == source.class_names else class_names)
    variant = make_variant(source, Data(classes=classes))  # all records, no captions
    return OpenedSet(name, variant, prompt_names(variant), templates("photo"), names_file or class_list_of(source))
