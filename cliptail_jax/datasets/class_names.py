"""What a source's classes are called: the builder's names, a vocabulary's, or CLIP's for the ids of ImageNet."""

import collections
import json
import pathlib
import re
from collections.abc import Sequence

from cliptail_jax.concepts.vocabulary import BUILT_IN, IMAGENET, class_lines, imagenet_names
from cliptail_jax.datasets.metadata import clean_name
from cliptail_jax.errors import UserError

WNID = re.compile("n[0-9]{8}")


def are_wnids(labels: Sequence[str]) -> bool:
    return bool(labels) and all(WNID.fullmatch(label) for label in labels)


def choose_class_names(labels: Sequence[str], vocabulary: str) -> tuple[str, ...]:
    """The names of a source's classes, in label order.

    Args:
        labels: the builder's names of the labels.
        vocabulary: a built-in vocabulary or a file of one, its classes in label order; '' for the builder's names,
            cleaned, or for CLIP's names where those are ids of ImageNet-1k, whichever of them and in whatever order.

    Raises:
        UserError: the vocabulary cannot be read or has another number of classes, or a name occurs twice.
    """
    if not labels:
        return ()
    imagenet = imagenet_names("imagenet1k")
    if vocabulary in ("", "imagenet1k") and set(labels) <= set(imagenet):
        return tuple(imagenet[wnid] for wnid in labels)
    names = vocabulary_names(vocabulary) if vocabulary else tuple(clean_name(label) for label in labels)
    of = f"class names of {vocabulary}" if vocabulary else "the builder's names of the classes"
    if len(names) != len(labels):
        raise UserError(f"{of}: there are {len(names)} names, and the data set has {len(labels)} classes")
    name, times = collections.Counter(names).most_common(1)[0]
    if times > 1:
        raise UserError(f"{of}: {name!r} occurs {times} times; data.class_names can give each class a name of its own")
    return names


def evaluation_names(wnids: Sequence[str]) -> tuple[str, ...]:
    """The names in the study's zero-shot prompts of classes of ImageNet-1k, given by WordNet id, in whatever order.

    They are those of `imagenet1k` but for four classes: newt, tights, missile and sunglasses, where captions and heads
    have eft, maillot, projectile and sunglass. Two classes are then a "missile", and two "sunglasses".

    Raises:
        UserError: an id is none of ImageNet-1k's.
    """
    names = imagenet_names("imagenet1k_eval")
    if unknown := [wnid for wnid in wnids if wnid not in names]:
        raise UserError(f"{unknown[0]!r} is no WordNet id of ImageNet-1k's classes, which alone have evaluation names")
    return tuple(names[wnid] for wnid in wnids)


def vocabulary_names(vocabulary: str) -> tuple[str, ...]:
    """The class names of a built-in vocabulary, or of a file: a JSON list of objects with a 'name' each."""
    if vocabulary in IMAGENET:
        return tuple(imagenet_names(vocabulary).values())
    if vocabulary in BUILT_IN:
        return tuple(name for name, _ in class_lines(vocabulary))
    try:
        entries = json.loads(pathlib.Path(vocabulary).read_text(encoding="utf-8"))
        return tuple(entry["name"] for entry in entries)
    except OSError as error:
        raise UserError(
            f"class names file {vocabulary} cannot be read ({error.strerror}), and it is not a built-in vocabulary: "
            + ", ".join(BUILT_IN)
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'class names file {vocabulary} is not a JSON list of {{"name": ...}}') from error
