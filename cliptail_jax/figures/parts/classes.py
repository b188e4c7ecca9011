"""Selects the classes of a figure, and computes their features."""

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.metrics.groups import evenly


def spread_classes(frequency: Int[np.ndarray, " class"], count: int) -> Int[np.ndarray, " chosen"]:
    """The ids of `count` classes, or of all if there are fewer, evenly spaced from the most frequent to the rarest."""
    order = np.argsort(-frequency, kind="stable")
    return order[evenly(len(order), count)]


def rarest(frequency: Int[np.ndarray, " class"], count: int) -> Int[np.ndarray, " tail"]:
    """The ids of the `count` rarest classes, rarest first and ties in label order, as `data.tail` selects them."""
    return np.argsort(frequency, kind="stable")[:count]


def class_centres(
    features: Float[np.ndarray, "image dim"], labels: Int[np.ndarray, " image"]
) -> tuple[Float[np.ndarray, "present dim"], Int[np.ndarray, " present"]]:
    """The mean features of the classes that have images, and the ids of these classes."""
    present, places, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.zeros((len(present), features.shape[1]))
    np.add.at(sums, places, features)
    return sums / sizes[:, None], present
