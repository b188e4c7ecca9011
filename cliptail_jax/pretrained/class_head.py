"""Reads a run's rows of class heads from .npy files [classes, dim], local or at gs://BUCKET/NAME.

FILE.npy may be accompanied by FILE.json, as `cliptail_jax.pretrained.make_head` writes it: "classes" has the names of the
rows, and "digest" the SHA-256 of the array's bytes.
"""

import zipfile
from collections import Counter
from collections.abc import Sequence
from typing import Required, TypedDict

import numpy as np
from etils import epath
from jaxtyping import Float32, Shaped

from cliptail_jax.concepts.class_lists import imagenet_names
from cliptail_jax.formats.class_names import normalized_name
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of, load_array, read_json, work_path


def head_for(path: str, class_names: tuple[str, ...], all_names: tuple[str, ...]) -> Float32[np.ndarray, "classes dim"]:
    """The rows for `class_names`, in their order, of the head at `path`, of any number type.

    With a .json file, rows are found by name, normalized by `normalized_name`; an ImageNet class's two names, in
    captions and in evaluation prompts, count as one. Without it, the rows are classes in label order: `class_names`, or
    the data set's `all_names`, which include them.

    Raises:
        UserError: the file cannot be read, is not two-dimensional, or has values that are not finite; a class has no row;
            the .json is corrupt or belongs to another array; or without it, there are neither as many rows as `class_names` nor
            as many as `all_names`.
    """
    array = _read_array(path)
    head = array.astype(np.float32)
    if not np.isfinite(head).all():
        raise UserError(f"head.init: '{path}' has values that are not finite")
    sidecar = work_path(path).with_suffix(".json")
    if sidecar.exists():
        return head[_rows_by_name(class_names, _read_classes(sidecar, array), sidecar)]
    if len(head) == len(class_names):
        return head
    if len(head) == len(all_names) and set(class_names) <= set(all_names):
        label_of = {name: label for label, name in enumerate(all_names)}
        return head[[label_of[name] for name in class_names]]
    data_set = f" and its data set {len(all_names)}" if len(all_names) > len(class_names) else ""
    raise UserError(
        f"head.init: '{path}' has {len(head)} rows, but the run has {len(class_names)} classes{data_set}; make a head "
        "of these classes with cliptail_jax.pretrained.make_head, or name its rows in a .json file of the same name"
    )


def join_keys(names: Sequence[str], other_names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Keys of the classes in two lists, which are equal for the same class: the names, normalized.

    If one of the lists has only classes of ImageNet, they are the names in captions. In evaluation prompts, two ImageNet
    classes are called "missile", and two "sunglasses". They can be distinguished only in a list of all classes in label
    order. In other lists, these names stand for the classes with these names in captions.
    """
    key_lists = [normalized_name(name) for name in names], [normalized_name(name) for name in other_names]
    caption_keys = [normalized_name(name) for name in imagenet_names("imagenet1k").values()]
    prompt_keys = [normalized_name(name) for name in imagenet_names("imagenet1k_eval").values()]
    caption_key_of = dict(zip(prompt_keys, caption_keys)) | {key: key for key in caption_keys}
    if not any(caption_key_of.keys() >= set(keys) for keys in key_lists):
        return key_lists
    return tuple(
        caption_keys if keys == prompt_keys else [caption_key_of.get(key, key) for key in keys] for keys in key_lists
    )


def places_of(names: Sequence[str], other_names: Sequence[str]) -> list[int | None]:
    """The index of each name's class among `other_names`; None if no class, or more than one, has the name.

    Case, hyphens and underscores do not matter, unless two names in a list differ only in them. ImageNet's classes may have
    either of two names.
    """
    exact = {name: number for number, name in enumerate(other_names)}
    if set(names) <= set(other_names):
        return [exact[name] for name in names]
    keys, other_keys = join_keys(names, other_names)
    place, counts, own_counts = {key: n for n, key in enumerate(other_keys)}, Counter(other_keys), Counter(keys)
    return [
        place.get(key) if counts[key] == own_counts[key] == 1 else exact.get(name) for name, key in zip(names, keys)
    ]


def _read_array(path: str) -> Shaped[np.ndarray, "rows dim"]:
    try:
        array = load_array(work_path(path))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"head.init: cannot read '{path}' as an .npy array ({error})") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise UserError(f"head.init: '{path}' is not an .npy array of numbers")
    if array.ndim != 2:
        raise UserError(f"head.init: '{path}' has shape {list(array.shape)}, but a head is [classes, dim]")
    return array


class Sidecar(TypedDict, total=False):
    """FILE.json: the names of the array's rows, and its digest. Other fields that `make_head` writes are not read."""

    classes: Required[list[str]]
    digest: str


def _read_classes(sidecar: epath.Path, array: Shaped[np.ndarray, "rows dim"]) -> list[str]:
    """The names of the array's rows."""
    document = read_json(sidecar, Sidecar)
    classes = document["classes"]
    if len(classes) != len(array):
        raise UserError(
            f"head.init: '{sidecar}' names {len(classes)} classes, but its head has {len(array)} rows: make the head "
            "again, or move the file"
        )
    numbers = array.astype(array.dtype.newbyteorder("<")).tobytes()  # a flipped bit of the type is another byte order
    if document.get("digest", digest := digest_of([numbers])) != digest:
        raise UserError(
            f"head.init: the head of '{sidecar}' has changed since it was written, as its digest shows: make it again"
        )
    return classes


def _rows_by_name(class_names: Sequence[str], classes: Sequence[str], sidecar: epath.Path) -> list[int]:
    keys, head_keys = join_keys(class_names, classes)
    if set(class_names) <= set(classes) and len(set(classes)) == len(classes):  # names may differ in case alone
        keys, head_keys = list(class_names), classes
    row_of = {key: row for row, key in enumerate(head_keys)}
    if missing_names := [name for name, key in zip(class_names, keys) if key not in row_of]:
        raise UserError(
            f"head.init: the head has no row for {len(missing_names)} of the run's {len(class_names)} classes, the first of "
            f"them {missing_names[0]!r}: '{sidecar}' has other names; make a head of these classes with "
            "cliptail_jax.pretrained.make_head"
        )
    times = Counter(head_keys)
    for name, key in zip(class_names, keys):
        if times[key] > 1:
            raise UserError(
                f"head.init: '{sidecar}' has the class {name!r} {times[key]} times: name each row differently"
            )
    return [row_of[key] for key in keys]
