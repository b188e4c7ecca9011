"""The class frequencies of a table, scaled and assigned to classes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from cliptail_jax.config.files import find_table
from cliptail_jax.config.training import RANDOM, REVERSED, Match
from cliptail_jax.curation.selection import Indices, class_frequency, first_of_permutation
from cliptail_jax.formats.frequency_tables import frequency_of
from cliptail_jax.host.errors import UserError


def target_frequency(
    class_names: Sequence[str], available: Int[np.ndarray, " class"], match: Match, seed: int
) -> Int[np.ndarray, " class"]:
    """The class frequency that the section describes, for classes of `available` records.

    Scaled to `match.n`, no class has more records than the smallest one of `available`, so that each assignment is
    possible. With assignment='reversed', rank i of C classes has the frequency of rank C-1-i.

    Raises:
        UserError: The table cannot be read or lacks a class, or `match.n` is too large.
    """
    counts = frequency_of(tuple(class_names), find_table(match.frequency))
    target = scaled(counts, match.n, int(available.min())) if match.n else counts
    if match.assignment == RANDOM:
        return target[np.random.default_rng((seed, 3)).permutation(len(target))]
    if match.assignment == REVERSED:
        rank = np.argsort(-counts, kind="stable")
        reverse = np.empty_like(target)
        reverse[rank] = target[rank[::-1]]
        return reverse
    return target


def scaled(counts: Int[np.ndarray, " class"], n: int, largest: int) -> Int[np.ndarray, " class"]:
    """min(s · counts, largest), with s such that the sum is n; the largest remainders are rounded up.

    Raises:
        UserError: `n` is larger than `largest` times the number of classes that have a count.
    """
    limit = largest * np.count_nonzero(counts)
    if n > limit:
        raise UserError(
            f"data.match.n={n:,} is too large: no class can have more than the {largest:,} records of the smallest, so that the "
            f"classes have {limit:,} at most; select classes by data.classes.at_least"
        )
    descending = np.sort(counts)[::-1]
    tail_sums = np.cumsum(descending[::-1])[::-1]  # the sum of the counts from each rank onwards
    # By rank, the scale if the classes before it have the largest count that is allowed.
    scales = (n - largest * np.arange(len(counts))) / np.maximum(tail_sums, 1)
    quotas = np.minimum(scales[np.argmax(scales * descending <= largest * (1 + 1e-12))] * counts, largest)
    sizes = np.floor(quotas).astype(np.int64)
    sizes[np.argsort(sizes - quotas, kind="stable")[: n - sizes.sum()]] += 1
    return sizes


def matched_rows(
    labels: Int[np.ndarray, " row"], is_own: np.ndarray, target: Int[np.ndarray, " class"], seed: int
) -> tuple[Indices, Int[np.ndarray, " class"]]:
    """The rows of each class up to its target, the source's own rows first, and the number missing in each class.

    Rows without a class stay.
    """
    own_rows, other_rows = np.flatnonzero(is_own), np.flatnonzero(~is_own)
    own_counts = np.minimum(class_frequency(labels[own_rows], len(target)), target)
    fill_counts = np.minimum(class_frequency(labels[other_rows], len(target)), target - own_counts)
    own_rows = own_rows[first_of_permutation(labels[own_rows], own_counts, seed)]
    other_rows = other_rows[first_of_permutation(labels[other_rows], fill_counts, seed)]
    return np.concatenate([own_rows, other_rows]), target - own_counts - fill_counts


def describe_shortfall(
    shortfall: Int[np.ndarray, " class"], target: Int[np.ndarray, " class"], class_names: Sequence[str], frequency: str
) -> str:
    """Describes the number of missing records, and in which classes."""
    worst_class = shortfall.argmax()
    return (
        f"{shortfall.sum():,} records short of {frequency} in {np.sum(shortfall > 0):,} classes, most of them in "
        f"'{class_names[worst_class]}': {shortfall[worst_class]:,} of {target[worst_class]:,}"
    )
