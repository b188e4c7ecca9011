"""Class heads from .npy files of [classes, dim], also as gs://BUCKET/NAME: which rows are a run's classes.

Beside FILE.npy may lie FILE.json, as `cliptail_jax.pretrained.make_head` writes it: "classes" names the rows in order,
and "digest" is the sha256 of the array's bytes.
"""

import json
import zipfile
from collections import Counter
from collections.abc import Sequence

import numpy as np
from etils import epath
from jaxtyping import Float32, Shaped

from cliptail_jax.concepts.vocabulary import imagenet_names, normalized_name
from cliptail_jax.errors import UserError
from cliptail_jax.files import digest_of, load_array, work_path


def read_head(path: str) -> Float32[np.ndarray, "rows dim"]:
    """The rows of a head's file, of whatever number type, as float32.

    Raises:
        UserError: the file cannot be read, is not two-dimensional, or holds values that are not finite.
    """
    return as_head(read_array(path), path)


def head_for(path: str, class_names: tuple[str, ...], all_names: tuple[str, ...]) -> Float32[np.ndarray, "classes dim"]:
    """The rows for `class_names`, in their order, of the head at `path`.

    With a .json beside it, rows are found by name, as `normalized_name` has it; ImageNet's names in captions and in
    evaluation prompts are then those of the same classes. Without, the rows are the classes in label order: those of
    `class_names`, or of `all_names`, the source's, of which `class_names` are a part.

    Raises:
        UserError: as `read_head`; or a class has no row; or the .json is damaged or not that of this array; or without
            it the rows are neither as many as `class_names` nor as many as `all_names`.
    """
    array = read_array(path)
    head = as_head(array, path)
    sidecar = work_path(path).with_suffix(".json")
    if sidecar.exists():
        return head[rows_by_name(class_names, read_classes(sidecar, array), sidecar)]
    if len(head) == len(class_names):
        return head
    if len(head) == len(all_names) and set(class_names) <= set(all_names):
        label_of = {name: label for label, name in enumerate(all_names)}
        return head[[label_of[name] for name in class_names]]
    of_source = f" and its data set {len(all_names)}" if len(all_names) > len(class_names) else ""
    raise UserError(
        f"head.init: '{path}' has {len(head)} rows, but the run has {len(class_names)} classes{of_source}; make a head "
        "of these classes with cliptail_jax.pretrained.make_head, or name its rows in a .json beside it"
    )


def read_array(path: str) -> Shaped[np.ndarray, "..."]:
    try:
        array = load_array(work_path(path))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"head.init: cannot read '{path}' as an .npy array ({error})") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise UserError(f"head.init: '{path}' is not an .npy array of numbers")
    return array


def as_head(array: Shaped[np.ndarray, "..."], path: str) -> Float32[np.ndarray, "rows dim"]:
    if array.ndim != 2:
        raise UserError(f"head.init: '{path}' has shape {list(array.shape)}, but a head is [classes, dim]")
    head = array.astype(np.float32)
    if not np.isfinite(head).all():
        raise UserError(f"head.init: '{path}' has values that are not finite")
    return head


def read_classes(sidecar: epath.Path, array: Shaped[np.ndarray, "rows dim"]) -> list[str]:
    """The names of the array's rows. A "digest" is optional, as is all else that `make_head` writes."""
    try:
        told = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"head.init: cannot read '{sidecar}', which says what the head's rows are ({error})") from None
    classes = told.get("classes") if isinstance(told, dict) else None
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise UserError(
            f"head.init: '{sidecar}' lies beside the head, but has no \"classes\", a list of names: add it, or move "
            "the file"
        )
    if len(classes) != len(array):
        raise UserError(
            f"head.init: '{sidecar}' names {len(classes)} classes, but the head beside it has {len(array)} rows: make "
            "the head anew, or move the file"
        )
    if told.get("digest", found := digest_of([array.tobytes()])) != found:
        raise UserError(
            f"head.init: the head beside '{sidecar}' has changed since it was written: its digest is another; "
            "make it anew"
        )
    return classes


def rows_by_name(class_names: Sequence[str], classes: Sequence[str], sidecar: epath.Path) -> list[int]:
    wanted, there = join_keys(class_names), join_keys(classes)
    row_of = {key: row for row, key in enumerate(there)}
    if missing := [name for name, key in zip(class_names, wanted) if key not in row_of]:
        raise UserError(
            f"head.init: the head has no row for {len(missing)} of the run's {len(class_names)} classes, the first of "
            f"them {missing[0]!r}: '{sidecar}' has other names; make a head of these classes with "
            "cliptail_jax.pretrained.make_head"
        )
    times = Counter(there)
    for name, key in zip(class_names, wanted):
        if times[key] > 1:
            raise UserError(
                f"head.init: '{sidecar}' has the class {name!r} {times[key]} times: name each row differently"
            )
    return [row_of[key] for key in wanted]


def join_keys(names: Sequence[str]) -> list[str]:
    """The names as heads are joined by them: normalized, and ImageNet's as captions have them.

    In evaluation prompts two classes are a "missile", and two "sunglasses": only a list of all ImageNet's classes in
    label order tells which is which. In other lists those words are the classes that captions call so.
    """
    keys = [normalized_name(name) for name in names]
    in_captions = [normalized_name(name) for name in imagenet_names("imagenet1k").values()]
    in_prompts = [normalized_name(name) for name in imagenet_names("imagenet1k_eval").values()]
    if keys == in_prompts:
        return in_captions
    renamed = dict(zip(in_prompts, in_captions))
    return [key if key in in_captions else renamed.get(key, key) for key in keys]
