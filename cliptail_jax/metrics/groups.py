"""Classes grouped by frequency: head, mid and tail, and groups for a curve."""

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.host.errors import UserError

PLOTTED_GROUPS = 10  # of classes of similar frequency


def head_mid_tail(
    frequency: Int[np.ndarray, " class"], head: int | None = None, tail: int | None = None
) -> tuple[Int[np.ndarray, " head"], Int[np.ndarray, " mid"], Int[np.ndarray, " tail"]]:
    """Class ids of the head, mid and tail, each in order of descending frequency, with ties in label order.

    `head` and `tail` are numbers of classes, by default a third of all, rounded. Mid are the remaining classes.

    Raises:
        UserError: the numbers do not fit.
    """
    classes = len(frequency)
    head = round(classes / 3) if head is None else head
    tail = round(classes / 3) if tail is None else tail
    if head < 0 or tail < 0 or head + tail > classes:
        raise UserError(f"head={head} and tail={tail} do not fit in {classes} classes: choose sizes that do")
    order = np.argsort(-np.asarray(frequency, np.float64), kind="stable")
    return order[:head], order[head : classes - tail], order[classes - tail :]


def group_accuracy(per_class_accuracy: Float[np.ndarray, " class"], ids: Int[np.ndarray, " group"]) -> float:
    """The mean accuracy in percent over the classes of a group, except those without examples (nan); nan if all are."""
    accuracies = np.asarray(per_class_accuracy)[ids]
    accuracies = accuracies[~np.isnan(accuracies)]
    return float(100 * accuracies.mean()) if accuracies.size else float("nan")


def group_means(
    frequency: Int[np.ndarray, " class"], accuracy: Float[np.ndarray, " class"]
) -> tuple[Float[np.ndarray, " group"], Float[np.ndarray, " group"]]:
    """Means of frequency and accuracy over PLOTTED_GROUPS groups of classes of similar frequency, from rare to frequent.

    Classes of frequency 0 are a group of their own; classes without test examples are left out.
    """
    has_examples = ~np.isnan(accuracy)
    frequency, accuracy = frequency[has_examples], accuracy[has_examples]
    order = np.argsort(frequency, kind="stable")
    unseen_classes, seen_classes = order[frequency[order] == 0], order[frequency[order] > 0]
    groups = [ids for ids in (unseen_classes, *np.array_split(seen_classes, PLOTTED_GROUPS)) if len(ids)]
    return np.array([frequency[ids].mean() for ids in groups]), np.array([accuracy[ids].mean() for ids in groups])


def evenly(length: int, number: int) -> Int[np.ndarray, " place"]:
    """`number` of the indices 0 to length − 1, evenly spread, with the first and the last; all if there are no more."""
    return np.linspace(0, length - 1, min(number, length)).round().astype(int)
