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
        condition = "only" if sampling == UNIFORM else "with records"
        raise UserError(f"{field} names another class, and the variant has one class {condition}")
    # These numbers are independent of those for templates and phrases, and a record's of the number of records.
    mistake_draws, class_draws = np.random.default_rng([seed, 0, 2]).random((int(records[-1]) + 1, 2))[records].T
    own_weights, ends = weights[labels], np.cumsum(weights)
    # A place in a line of all classes, each as long as its weight; the record's own class is left out.
    place = (class_draws * (ends[-1] - own_weights)).astype(np.int64)
    place += np.where(place >= ends[labels] - own_weights, own_weights, 0)
    return np.where(mistake_draws < share, np.searchsorted(ends, place, side="right"), labels)


def right_and_wrong(
    labels: Int[np.ndarray, " row"], given_labels: Int[np.ndarray, " row"], classes: int
) -> tuple[Int[np.ndarray, " class"], Int[np.ndarray, " class"]]:
    """The number of rows that are given each class correctly, and wrongly."""
    is_right = labels == given_labels
    return tuple(np.bincount(given_labels[rows], minlength=classes) for rows in (is_right, ~is_right))


def describe_mistakes(
    labels: Int[np.ndarray, " row"], given_labels: Int[np.ndarray, " row"], classes: int, field: str
) -> str:
    """Describes the number of wrong labels, and the purity of head, mid and tail: the share of correct ones."""
    right_counts, wrong_counts = right_and_wrong(labels, given_labels, classes)
    groups = head_mid_tail(np.bincount(labels, minlength=classes))
    purity = [right_counts[ids].sum() / max(right_counts[ids].sum() + wrong_counts[ids].sum(), 1) for ids in groups]
    return (
        f"{field}: {wrong_counts.sum():,} of {len(labels):,} name another class ({wrong_counts.sum() / len(labels):.1%}); of those that name "
        "a class of head, mid and tail, {:.1%}, {:.1%} and {:.1%} are right".format(*purity)
    )
