"""Random mistakes about the class of records, drawn alike for captions (distractors) and labels."""

import numpy as np
from jaxtyping import Int

from cliptail_jax.config.training import UNIFORM
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.groups import head_mid_tail


def with_mistakes(
    labels: Int[np.ndarray, " row"],
    records: Int[np.ndarray, " row"],
    classes: int,
    share: float,
    sampling: str,
    seed: int,
    field: str,
) -> Int[np.ndarray, " row"]:
    """Replaces a share of the labels by other classes.

    With `sampling='uniform'`, each of the other classes is equally probable. With 'frequency', class j replaces class k
    with probability n_j / (N − n_k), where n_j of the N rows are of class j. Whether a record is mistaken depends only
    on the seed and its index in the source; so does the other class, except that it depends on the class frequencies
    with 'frequency'. Mistakes of a smaller share are a subset of those of a larger one.

    Args:
        labels: 0 or more.
        records: the index of each row's record in the source, ascending.
        field: the share's field, for error messages.
    """
    if not share:
        return labels
    weights = np.ones(classes, np.int64) if sampling == UNIFORM else np.bincount(labels, minlength=classes)
    if np.count_nonzero(weights) == 1:
        which = "only" if sampling == UNIFORM else "with records"
        raise UserError(f"{field} names another class, and the variant has one class {which}")
    # The numbers are independent of those of template and phrase, and those of a record of how many there are.
    whether, which = np.random.default_rng([seed, 0, 2]).random((int(records[-1]) + 1, 2))[records].T
    own, ends = weights[labels], np.cumsum(weights)
    # In a line of all classes, each as long as its weight, without the record's own.
    place = (which * (ends[-1] - own)).astype(np.int64)
    place += np.where(place >= ends[labels] - own, own, 0)
    return np.where(whether < share, np.searchsorted(ends, place, side="right"), labels)


def right_and_wrong(
    labels: Int[np.ndarray, " row"], given: Int[np.ndarray, " row"], classes: int
) -> tuple[Int[np.ndarray, " class"], Int[np.ndarray, " class"]]:
    """The number of rows that are given each class correctly, and wrongly."""
    right = labels == given
    return tuple(np.bincount(given[rows], minlength=classes) for rows in (right, ~right))


def describe_mistakes(labels: Int[np.ndarray, " row"], given: Int[np.ndarray, " row"], classes: int, field: str) -> str:
    """Describes the number of wrong labels, and the purity of head, mid and tail: the share of correct ones."""
    right, wrong = right_and_wrong(labels, given, classes)
    groups = head_mid_tail(np.bincount(labels, minlength=classes))
    purity = [right[ids].sum() / max(right[ids].sum() + wrong[ids].sum(), 1) for ids in groups]
    return (
        f"{field}: {wrong.sum():,} of {len(labels):,} name another class ({wrong.sum() / len(labels):.1%}); of those that name "
        "a class of head, mid and tail, {:.1%}, {:.1%} and {:.1%} are right".format(*purity)
    )
