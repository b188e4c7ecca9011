"""Profiles: the number of records that each class keeps, decreasing from head to tail."""

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.config.training import NATURAL, Profile
from cliptail_jax.host.errors import UserError


def exponential(num_classes: int, largest: int | np.integer, ratio: float) -> Int[np.ndarray, " rank"]:
    """Class sizes that decrease from `largest` to `largest / ratio` by a constant factor, rounded down.

    n_i = floor(n_max ratio^(-i / (C-1))), the profile of CIFAR-LT: Cao et al. (2019), arXiv 1906.07413.

    Raises:
        UserError: The ratio is below 1.
    """
    if ratio < 1:
        raise UserError(f"a profile's ratio is {ratio}; largest to smallest class, it must be 1 or more")
    rank = np.arange(num_classes)
    return _floor(largest * float(ratio) ** (-rank / max(num_classes - 1, 1)))


def zipf(num_classes: int, largest: int | np.integer, exponent: float) -> Int[np.ndarray, " rank"]:
    """Class sizes that decrease as a power of the rank, rounded down: n_i = floor(n_max / (i+1)^exponent)."""
    return _floor(largest / np.arange(1, num_classes + 1) ** float(exponent))


def profile_counts(profile: Profile, available: Int[np.ndarray, " class"], seed: int) -> Int[np.ndarray, " class"]:
    """The number of its `available` records that each class keeps under a profile.

    The profile starts at `profile.largest` or, if that is 0, at the size of the largest class. The ranks of the classes
    are a random permutation by `seed` or, with order='natural', those of their available records. `mirrored` reverses
    them: the class of rank i has rank C-1-i. A class with fewer records than in the profile keeps all, and a class may
    lose all its records.
    """
    num_classes, largest = len(available), profile.largest or int(np.max(available))
    if profile.name == "exponential":
        sizes = exponential(num_classes, largest, profile.ratio)
    else:
        sizes = zipf(num_classes, largest, profile.exponent)
    if profile.order == NATURAL:
        class_order = np.argsort(-available, kind="stable")
    else:
        class_order = np.random.default_rng(seed).permutation(num_classes)
    counts = np.empty(num_classes, np.int64)
    counts[class_order[::-1] if profile.mirrored else class_order] = sizes
    return np.minimum(counts, available)


def _floor(sizes: Float[np.ndarray, " rank"]) -> Int[np.ndarray, " rank"]:
    # Rounding errors may make a size that is an integer slightly smaller.
    return np.floor(sizes * (1 + 1e-12)).astype(np.int64)
