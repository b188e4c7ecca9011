"""Selects the rows of a variant: by held-out share, scale and balance, and by trimming the tail.

These are pure functions of arrays. A result is an ascending array of indices into the given rows.
"""

import numpy as np
from jaxtyping import Int

from cliptail_jax.host.errors import UserError

LARGEST_CLASSES = 10  # classes that lose records where a fixed number of records must include every class

Indices = Int[np.ndarray, " index"]


def class_frequency(labels: Int[np.ndarray, " row"], num_classes: int) -> Int[np.ndarray, " class"]:
    """The number of rows of each class. Rows without a class have the label -1."""
    return np.bincount(labels[labels >= 0], minlength=num_classes)


def first_of_permutation(labels: Int[np.ndarray, " row"], counts: Int[np.ndarray, " class"], seed: int) -> Indices:
    """The first `counts[c]` rows of a random permutation of each class's rows, and all rows without a class."""
    ends = np.cumsum([np.sum(labels < 0), *class_frequency(labels, len(counts))])[:-1]
    classless_rows, *by_class = np.split(np.argsort(labels, kind="stable"), ends)
    kept_rows = [
        np.random.default_rng([seed, c]).permutation(class_rows)[:count]
        for c, (class_rows, count) in enumerate(zip(by_class, counts))
    ]
    return np.sort(np.concatenate([classless_rows, *kept_rows]))


def seeded_split(
    labels: Int[np.ndarray, " row"], share: float = 0.2, seed: int = 0
) -> tuple[Int[np.ndarray, " rest"], Int[np.ndarray, " split"]]:
    """Splits rows into those to train on and those held out for validation.

    `share` of every class is held out (rounded), but at least one row of every class is left to train on.

    Raises:
        UserError: The share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise UserError(f"share {share:g} of the examples held out for validation: give one between 0 and 1")
    labels = np.asarray(labels)
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        held_out[members[: min(round(share * len(members)), len(members) - 1)]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def sample(
    labels: Int[np.ndarray, " row"], num_classes: int, n: int, fraction: float, keep_all_classes: bool, seed: int
) -> Indices:
    """A random sample of `n` rows or, for n = 0, of a fraction of them.

    With one seed, larger samples contain smaller ones, except for rows that `keep_all_classes` adds.

    With `keep_all_classes` a class that is not in the sample gets its first row back, and for a fixed `n` the ten largest
    classes lose the same number of rows.

    Raises:
        UserError: `n` exceeds the number of rows, or is too small to keep all classes.
    """
    if n > len(labels):
        raise UserError(f"data.n={n} is larger than the {len(labels)} records")
    size = n or round(fraction * len(labels))
    if size == len(labels):
        return np.arange(size)
    kept_rows = np.random.default_rng(seed).permutation(len(labels))[:size]
    if keep_all_classes:
        classes, first = np.unique(labels, return_index=True)
        missing_rows = first[~np.isin(classes, labels[kept_rows])]
        if n and len(missing_rows):
            kept_rows = shrink_largest_classes(
                kept_rows, labels + 1, num_classes + 1, len(missing_rows)
            )  # rows without a class are one more class
        kept_rows = np.concatenate([kept_rows, missing_rows])
    return np.sort(kept_rows)


def shrink_largest_classes(
    rows: Indices, labels: Int[np.ndarray, " row"], num_classes: int, number: int
) -> Int[np.ndarray, " fewer"]:
    """The indices `rows` except the last `number` of the ten largest classes; every class keeps a row."""
    frequency = np.bincount(labels[rows], minlength=num_classes)
    largest = np.argsort(-frequency, kind="stable")[:LARGEST_CLASSES]
    _, first = np.unique(labels[rows], return_index=True)
    is_removable = np.isin(labels[rows], largest)
    is_removable[first] = False
    places = np.flatnonzero(is_removable)[::-1][:number]
    if len(places) < number:
        classes = len(np.unique(labels))
        raise UserError(
            f"data.keep_all_classes: data.n={len(rows)} is too small for a record of each of {classes} classes"
        )
    return np.delete(rows, places)


def trim_tail(labels: Int[np.ndarray, " row"], num_classes: int, classes: int, shots: int, seed: int) -> Indices:
    """The rows left when the `classes` rarest classes are cut to `shots` rows each. Rows without a class stay.

    Classes without a row are the rarest, as in the paper. Of equally rare classes, lower labels are cut first.

    Raises:
        UserError: There are fewer classes.
    """
    if classes > num_classes:
        raise UserError(f"data.tail.classes={classes}, but there are only {num_classes} classes")
    counts = class_frequency(labels, num_classes)
    rarest = np.argsort(counts, kind="stable")[:classes]
    counts[rarest] = np.minimum(shots, counts[rarest])
    return first_of_permutation(labels, counts, seed)


def balanced_rows(
    rows: Int[np.ndarray, " pair"], entries: Int[np.ndarray, " pair"], cap: int, num_entries: int, seed: int
) -> Indices:
    """The rows that MetaCLIP's rule keeps (Xu et al., 2023, arXiv 2309.16671), from pairs of a row and its entry.

    A pair is accepted with probability min(1, cap / count), where `count` rows have the entry; a row is kept if any of
    its pairs is accepted. A row without an entry is not kept.
    """
    count = np.bincount(entries, minlength=num_entries)
    is_accepted = np.random.default_rng(seed).random(len(entries)) < cap / np.maximum(count, 1)[entries]
    return np.unique(rows[is_accepted])
