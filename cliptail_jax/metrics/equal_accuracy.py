"""Compares measures of runs at equal accuracy: the final accuracy of the least accurate run."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from cliptail_jax.metrics.bootstrap import Bootstrapped, if_defined, resamples_of, times_drawn
from cliptail_jax.metrics.measures import ClassResults, Measure

Course = Sequence[ClassResults]  # the evaluations of a run during its training, in order


class Position(NamedTuple):
    """Where the course of a group reaches an accuracy, in each resample of the classes.

    Attributes:
        start: the last evaluation before it; -1 if there is none.
        share: the part of the way from this evaluation to the next one, in 0..1.
    """

    start: Int[np.ndarray, " resample"]
    share: Float[np.ndarray, " resample"]


def compare_at_equal_accuracy(measure: Measure, *groups: Sequence[Course]) -> list[Bootstrapped]:
    """The measure of each group, a run or a mirrored pair, at equal accuracy, over the same resamples of the classes.

    In each resample, all groups are compared at the final accuracy of the least accurate one (the mean over classes and
    runs). The measures of the others are interpolated linearly between the first evaluation with at least this accuracy
    and the one before it. A measure is undefined if the group's first evaluation is already more accurate, and in all
    resamples if more than 2.5 % of them are undefined.

    Classes that the measure leaves out of one of the interpolated evaluations are left out of all.

    Args:
        measure: over classes, not over head, mid or tail.
        groups: the runs of each group, with equally many evaluations.

    Example:
        slopes = compare_at_equal_accuracy(MEASURES["slope_acc"], [clip_evaluations], [sl_evaluations])
    """
    accuracies = [np.array([[e.accuracy for e in run] for run in runs]).mean(axis=0) for runs in groups]
    variables = [np.array([[np.stack(measure.variables(e)) for e in run] for run in runs], float) for runs in groups]
    complete = _complete_classes(accuracies, variables)
    accuracies = [accuracy[:, complete] for accuracy in accuracies]
    variables = [np.moveaxis(arrays[..., complete], (1, 2, 0), (0, 1, 2)) for arrays in variables]
    classes = int(np.sum(complete))
    blocks = [np.arange(classes)[None], *resamples_of(classes)]  # the classes themselves are first
    parts = [_interpolated(measure, accuracies, variables, block) for block in blocks]
    values = [np.concatenate(blocks_of_group) for blocks_of_group in zip(*parts)]
    return [if_defined(Bootstrapped(float(group[0]), group[1:])) for group in values]


def _complete_classes(
    accuracies: Sequence[Float[np.ndarray, "_ class"]],
    variables: Sequence[Float[np.ndarray, "_ _ variable class"]],
) -> Bool[np.ndarray, " class"]:
    """Which classes have an accuracy in all evaluations, and all variables from the first interpolated evaluation on.

    In earlier evaluations, a class may lack a variable, for example because the model does not predict it yet.
    """
    incomplete = np.any([np.isnan(accuracy).any(axis=0) for accuracy in accuracies], axis=0)
    incomplete |= np.any([np.isnan(arrays[:, -1]).any(axis=(0, 1)) for arrays in variables], axis=0)
    classes = np.arange(np.sum(~incomplete))
    positions = _common_positions([accuracy[:, ~incomplete] for accuracy in accuracies], classes[None])
    for arrays, position in zip(variables, positions):
        incomplete |= np.isnan(arrays[:, max(position.start[0], 0) :]).any(axis=(0, 1, 2))
    return ~incomplete


def _common_positions(
    accuracies: Sequence[Float[np.ndarray, "_ class"]], resamples: Int[np.ndarray, "resample class"]
) -> list[Position]:
    """Where each group has the common accuracy, the lowest final one of all groups."""
    num_classes = resamples.shape[1]
    weights = times_drawn(resamples, num_classes) / max(num_classes, 1)
    courses = [accuracy @ weights.T for accuracy in accuracies]  # [evaluation, resample]
    common = np.min([course[-1] for course in courses], axis=0)
    positions = []
    for course in courses:
        end = np.where(course[-1] <= common, len(course) - 1, np.argmax(course >= common, axis=0))
        start = end - 1
        low, high = (np.take_along_axis(course, np.maximum(index, 0)[None], 0)[0] for index in (start, end))
        share = np.where(high <= common, 1.0, (common - low) / np.where(high > low, high - low, 1))
        positions.append(Position(start, share))
    return positions


def _interpolated(
    measure: Measure,
    accuracies: Sequence[Float[np.ndarray, "_ class"]],
    variables: Sequence[Float[np.ndarray, "_ variable run class"]],
    resamples: Int[np.ndarray, "resample class"],
) -> list[Float[np.ndarray, " resample"]]:
    """The measure of each group at the common accuracy, in each resample of the classes."""
    results = []
    for arrays, (start, share) in zip(variables, _common_positions(accuracies, resamples)):
        # The evaluation at the start does not matter, and need not exist, if the one at the end has just this accuracy.
        low, high = (
            _measured(measure, arrays, evaluations, resamples)
            for evaluations in (np.where(share == 1, -1, start), start + 1)
        )
        results.append(np.where(share == 1, high, low + share * (high - low)))
    return results


def _measured(
    measure: Measure,
    variables: Float[np.ndarray, "_ variable run class"],
    evaluations: Int[np.ndarray, " resample"],
    resamples: Int[np.ndarray, "resample class"],
) -> Float[np.ndarray, " resample"]:
    """The measure of a group in each resample, at the evaluation of the resample; nan at evaluation -1."""
    values = np.full(len(resamples), np.nan)
    for evaluation in set(evaluations.tolist()) - {-1}:
        rows = evaluations == evaluation
        values[rows] = measure.statistic(*variables[evaluation][..., resamples[rows]])
    return values
