"""Selects the classes of a variant from those of its source."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from cliptail_jax.concepts.class_lists import listed_names
from cliptail_jax.config.training import Classes
from cliptail_jax.host.errors import UserError


def select_classes(
    names: Sequence[str], frequency: Int[np.ndarray, " class"], classes: Classes, seed: int
) -> Int[np.ndarray, " chosen"]:
    """The labels of the classes that the section selects: in the order of its list, else ascending.

    `frequency` is the number of records of each class.

    Raises:
        UserError: A class is unknown or listed twice, or there are fewer classes.
    """
    for key, number in (("first", classes.first), ("random", classes.random)):
        if number > len(names):
            raise UserError(f"data.classes.{key}={number}, but the source has {len(names)} classes")
    if classes.at_least:
        labels = np.flatnonzero(frequency >= classes.at_least)
        if not len(labels):
            raise UserError(
                f"data.classes.at_least={classes.at_least}, but the largest class has {frequency.max(initial=0):,} records"
            )
        return labels
    if classes.first:
        return np.arange(classes.first)
    if classes.random:
        return random_classes(len(names), classes.random, seed)
    if not (classes.names or classes.list):
        return np.arange(len(names))
    if classes.names:
        key, entries = "data.classes.names", classes.names
    else:
        key, entries = f"data.classes.list={classes.list}", listed_names(classes.list)
    labels = [_label(names, entry, key) for entry in entries]
    distinct_labels, counts = np.unique(labels, return_counts=True)
    if counts.max() > 1:
        raise UserError(f"{key} lists class '{names[distinct_labels[counts.argmax()]]}' twice")
    return np.array(labels)


def random_classes(classes: int, number: int, seed: int) -> Int[np.ndarray, " chosen"]:
    """`number` random labels of 0 ... classes - 1, ascending.

    They are independent of the ranks in `profile_counts` for the same seed; otherwise they would be the first ranks.
    """
    return np.sort(np.random.default_rng((seed, 1)).permutation(classes)[:number])


def _label(names: Sequence[str], entry: str | int, key: str) -> int:
    if isinstance(entry, int) and 0 <= entry < len(names):
        return entry
    if entry in names:
        return names.index(entry)
    hint = f"(such as {names[0]!r})" if names else "(it has none)"
    raise UserError(f"{key} has {entry!r}, which is not a class of the source {hint}")
