"""Measures of runs at equal accuracy: that of the least accurate run at its end."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.metrics.bootstrap import Bootstrapped, if_defined, resamples_of
from cliptail_jax.metrics.measures import ClassResults, Measure

Course = Sequence[ClassResults]  # the evaluations of a run's training, in order


def compare_at_equal_accuracy(measure: Measure, *groups: Sequence[Course]) -> list[Bootstrapped]:
    """The measure of each group, a run or a mirrored pair, at equal accuracy, over the same resamples of the classes.

    In each resample, all groups are compared at the final accuracy of the least accurate one (the mean over classes and
    runs). The measures of the others are interpolated linearly between the first evaluation with at least this accuracy
    and the one before it. A measure is undefined if the group's first evaluation is already more accurate, and in all
    if more than 2.5 % of its resamples are undefined.

    Classes that the measure leaves out of one of the interpolated evaluations are left out of all.

    Args:
        measure: over classes, not over head, mid or tail.
        groups: the runs of each group, with equally many evaluations.
    """
    accuracy = [np.array([[e.accuracy for e in run] for run in runs]).mean(axis=0) for runs in groups]
    variables = [np.array([[np.stack(measure.variables(e)) for e in run] for run in runs], float) for runs in groups]
    # A class may lack a variable in early evaluations, as one that is not predicted yet, where it does not matter.
    left_out = np.any([np.isnan(of).any(axis=0) for of in accuracy], axis=0)
    left_out |= np.any([np.isnan(of[:, -1]).any(axis=(0, 1)) for of in variables], axis=0)
    places = _places([of[:, ~left_out] for of in accuracy], np.arange(np.sum(~left_out))[None])
    for of, (before, _) in zip(variables, places):
        left_out |= np.isnan(of[:, max(before[0], 0) :]).any(axis=(0, 1, 2))
    accuracy = [of[:, ~left_out] for of in accuracy]
    variables = [np.moveaxis(of[..., ~left_out], (1, 2, 0), (0, 1, 2)) for of in variables]
    classes = int(np.sum(~left_out))
    blocks = [np.arange(classes)[None], *resamples_of(classes)]
    found = [_interpolated(measure, accuracy, variables, chosen) for chosen in blocks]
    return [if_defined(Bootstrapped(float(of[0]), of[1:])) for of in (np.concatenate(parts) for parts in zip(*found))]


def _places(
    accuracy: Sequence[Float[np.ndarray, "_ class"]], chosen: Int[np.ndarray, "resample class"]
) -> list[tuple[Int[np.ndarray, " resample"], Float[np.ndarray, " resample"]]]:
    """The evaluation before each group's common accuracy (-1 for none), and the fraction of the way to the next."""
    times = np.stack([np.bincount(row, minlength=chosen.shape[1]) for row in chosen]) / max(chosen.shape[1], 1)
    courses = [of @ times.T for of in accuracy]
    common = np.min([course[-1] for course in courses], axis=0)
    found = []
    for course in courses:
        after = np.where(course[-1] <= common, len(course) - 1, np.argmax(course >= common, axis=0))
        low, high = (np.take_along_axis(course, np.maximum(place, 0)[None], 0)[0] for place in (after - 1, after))
        share = np.where(high <= common, 1.0, (common - low) / np.where(high > low, high - low, 1))
        found.append((after - 1, share))
    return found


def _interpolated(
    measure: Measure,
    accuracy: Sequence[Float[np.ndarray, "_ class"]],
    variables: Sequence[Float[np.ndarray, "_ variable run class"]],
    chosen: Int[np.ndarray, "resample class"],
) -> list[Float[np.ndarray, " resample"]]:
    """The measure of each group in each resample of the classes."""
    found = []
    for of, (before, share) in zip(variables, _places(accuracy, chosen)):
        values = np.full((2, len(chosen)), np.nan)
        # Where an evaluation is just as accurate, the one before it does not matter, and need not exist.
        for side, places in enumerate((np.where(share == 1, -1, before), before + 1)):
            for place in set(places.tolist()) - {-1}:
                rows = places == place
                values[side, rows] = measure.statistic(*of[place][..., chosen[rows]])
        found.append(np.where(share == 1, values[1], values[0] + share * (values[1] - values[0])))
    return found
