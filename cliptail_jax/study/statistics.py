"""The statistics that claims compare. Adding one takes its function and its entry in STATISTICS."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from cliptail_jax.metrics.correlation import Comparison, compare, compare_means, decades, line_slope, rank_correlation
from cliptail_jax.runs import FinishedRun

SetAccuracies = Sequence[Float[np.ndarray, "class"]]  # on several sets, in 0..1


def corr_acc(a: FinishedRun, b: FinishedRun) -> Comparison:
    """Spearman's correlation of class frequency with accuracy."""
    return compare(rank_correlation, a.frequency, a.accuracy, b.frequency, b.accuracy)


def corr_pred(a: FinishedRun, b: FinishedRun) -> Comparison:
    """Spearman's correlation of class frequency with the number of predictions."""
    return compare(rank_correlation, a.frequency, a.predictions, b.frequency, b.predictions)


def slope_acc(a: FinishedRun, b: FinishedRun) -> Comparison:
    """Points per decade: the slope of accuracy in percent over log10 of class frequency."""
    return compare(line_slope, decades(a.frequency), 100 * a.accuracy, decades(b.frequency), 100 * b.accuracy)


def slope_pred(a: FinishedRun, b: FinishedRun) -> Comparison:
    """The slope of log10 of the share of predictions over log10 of class frequency: 0 without bias, 1 for their frequency."""
    shares = (decades(run.predictions / run.predictions.sum()) for run in (a, b))
    return compare(line_slope, decades(a.frequency), next(shares), decades(b.frequency), next(shares))


def top1(a: FinishedRun, b: FinishedRun) -> Comparison:
    """Mean accuracy over classes, in percent."""
    return compare_means(100 * a.accuracy, 100 * b.accuracy)


def tail(a: FinishedRun, b: FinishedRun) -> Comparison:
    """Mean accuracy over the tail classes of the first run, in percent."""
    return compare_means(100 * a.accuracy[a.tail], 100 * b.accuracy[a.tail])


def probe(a: SetAccuracies, b: SetAccuracies) -> Comparison:
    """Mean accuracy over classes of linear probes in percent, averaged over sets."""
    on_sets = [compare_means(100 * x, 100 * y, seed=n) for n, (x, y) in enumerate(zip(a, b))]
    return Comparison(*(np.mean(values, axis=0) for values in zip(*on_sets)))


class Statistic(NamedTuple):
    """How a statistic of two runs is computed and shown.

    Attributes:
        compare: of two evaluations on the same classes; with `of_probes`, of the accuracies of linear probes on the same sets.
        unit: what differences are differences of; the figure of claims has a panel for each unit.
        format: the format of values in reports.
        of_probes: whether it compares linear probes.
    """

    compare: Callable[[FinishedRun, FinishedRun], Comparison] | Callable[[SetAccuracies, SetAccuracies], Comparison]
    unit: str
    format: str
    of_probes: bool = False


STATISTICS = {
    "corr_acc": Statistic(corr_acc, "correlations", ".2f"),
    "corr_pred": Statistic(corr_pred, "correlations", ".2f"),
    "slope_acc": Statistic(slope_acc, "points per decade", ".1f"),
    "slope_pred": Statistic(slope_pred, "decades per decade", ".2f"),
    "top1": Statistic(top1, "accuracies (points)", ".1f"),
    "tail": Statistic(tail, "accuracies (points)", ".1f"),
    "probe": Statistic(probe, "accuracies (points)", ".1f", of_probes=True),
}
