"""Which records a variant keeps: by scale, similarity, frequency; and how short the tail is cut. Pure functions of arrays."""

import numpy as np
from jaxtyping import Int
from ml_collections import ConfigDict

from cliptail_jax.curation.profiles import profile_counts
from cliptail_jax.errors import UserError

LARGEST = 10  # classes that give way where a fixed n must hold every class

Rows = Int[np.ndarray, "row"]


def first_of_permutation(labels: Int[np.ndarray, "row"], counts: Int[np.ndarray, "class"], seed: int) -> Rows:
    """The places of `counts[c]` rows of each class, in ascending order: the first of the class's seeded permutation."""
    by_class = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels, minlength=len(counts)))[:-1])
    kept = [
        np.random.default_rng([seed, c]).permutation(of_class)[:count]
        for c, (of_class, count) in enumerate(zip(by_class, counts))
    ]
    return np.sort(np.concatenate(kept))


def seeded_split(
    labels: Int[np.ndarray, "row"], share: float = 0.2, seed: int = 0
) -> tuple[Int[np.ndarray, "kept"], Int[np.ndarray, "held_out"]]:
    """Places of the rows to train on and of those held out, each ascending.

    `share` of every class is held out (rounded), but at least one row of every class stays to train on.
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


def impose_profile(labels: Int[np.ndarray, "row"], num_classes: int, data: ConfigDict) -> Rows:
    """Cut each class to its count in the profile."""
    available = np.bincount(labels, minlength=num_classes)
    counts = profile_counts(
        data.profile.name, available, ratio=data.profile.ratio, exponent=data.profile.exponent, seed=data.seed
    )
    return first_of_permutation(labels, counts, data.seed)


def sample(labels: Int[np.ndarray, "row"], num_classes: int, data: ConfigDict) -> Rows:
    """`n` or `fraction` of the rows, in ascending order. With one seed, smaller samples lie in larger ones.

    With `keep_all_classes` a class that the sample misses gets its first row back, and for a fixed `n` as many rows of the
    ten largest classes give way.
    """
    if data.n > len(labels):
        raise UserError(f"data.n={data.n} is larger than the {len(labels)} records that there are")
    size = data.n or round(data.fraction * len(labels))
    if size == len(labels):
        return np.arange(size)
    kept = np.random.default_rng(data.seed).permutation(len(labels))[:size]
    if data.keep_all_classes:
        missing, first = np.unique(labels, return_index=True)
        back = first[~np.isin(missing, labels[kept])]
        if data.n and len(back):
            kept = without(kept, labels, num_classes, len(back))
        kept = np.concatenate([kept, back])
    return np.sort(kept)


def without(kept: Rows, labels: Int[np.ndarray, "row"], num_classes: int, number: int) -> Rows:
    """The kept rows but for `number` of the ten largest classes, the last drawn ones; one of each class stays."""
    frequency = np.bincount(labels[kept], minlength=num_classes)
    largest = np.argsort(-frequency, kind="stable")[:LARGEST]
    _, first = np.unique(labels[kept], return_index=True)
    may_go = np.isin(labels[kept], largest)
    may_go[first] = False
    gone = np.flatnonzero(may_go)[::-1][:number]
    if len(gone) < number:
        raise UserError(
            f"data.keep_all_classes: data.n={len(kept)} is too small to keep a record of each of "
            f"{len(np.unique(labels))} classes"
        )
    return np.delete(kept, gone)


def trim_tail(labels: Int[np.ndarray, "row"], class_names: tuple[str, ...], data: ConfigDict) -> Rows:
    """The rows left when the `tail.classes` rarest classes are cut to `tail.shots` records each.

    Classes without a record are the rarest of all, as in the study, and get none; among equals the first labels go first.
    """
    classes, shots = data.tail.classes, data.tail.shots
    if classes > len(class_names):
        raise UserError(f"data.tail.classes={classes}, but there are only {len(class_names)} classes")
    counts = np.bincount(labels, minlength=len(class_names))
    rarest = np.argsort(counts, kind="stable")[:classes]
    counts[rarest] = np.minimum(shots, counts[rarest])
    return first_of_permutation(labels, counts, data.seed)


def balanced_rows(
    rows: Int[np.ndarray, "pair"], entries: Int[np.ndarray, "pair"], cap: int, num_entries: int, seed: int
) -> Rows:
    """MetaCLIP's rule (Xu et al., 2023, arXiv 2309.16671): the rows that at least one of their entries' coins keeps.

    An entry that `count` rows carry has a coin that says yes with probability min(1, cap / count), thrown for each row.
    A row without an entry has no coin, and goes.
    """
    count = np.bincount(entries, minlength=num_entries)
    says_yes = np.random.default_rng(seed).random(len(entries)) < cap / np.maximum(count, 1)[entries]
    return np.unique(rows[says_yes])
