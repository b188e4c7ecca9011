"""The statistics that claims compare. Adding one takes its function and its entry in STATISTICS.

A statistic is a function of one kind of run, or of two that are compared over the same classes. Of a kind there is one run,
or a *mirrored pair*: two runs that differ in the order of class frequencies alone, which is reversed in the second.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from cliptail_jax.metrics.bootstrap import Bootstrapped, bootstrap, mean_over_classes
from cliptail_jax.metrics.correlation import decades, mean_rank_correlation, slope_within_classes
from cliptail_jax.runs import FinishedRun

Kind = Sequence[FinishedRun]  # a run, or a mirrored pair
SetAccuracies = Sequence[Float[np.ndarray, " class"]]  # on several sets, in 0..1


def corr_acc(*kinds: Kind) -> list[Bootstrapped]:
    """Spearman's correlation of class frequency with accuracy; of a mirrored pair the mean of both."""
    return of_kinds(mean_rank_correlation, lambda run: (run.frequency, run.accuracy), kinds)


def corr_pred(*kinds: Kind) -> list[Bootstrapped]:
    """Spearman's correlation of class frequency with the number of predictions; of a mirrored pair the mean of both."""
    return of_kinds(mean_rank_correlation, lambda run: (run.frequency, run.predictions), kinds)


def slope_acc(*kinds: Kind) -> list[Bootstrapped]:
    """Points per decade: the slope of accuracy in percent over log10 of class frequency.

    Of a mirrored pair with fixed effects of classes: `cliptail_jax.metrics.correlation.slope_within_classes`.
    """
    return of_kinds(slope_within_classes, SLOPES["slope_acc"], kinds)


def slope_pred(*kinds: Kind) -> list[Bootstrapped]:
    """The slope of log10 of the share of predictions over log10 of class frequency: 0 without bias, 1 for their frequency.

    Of a mirrored pair with fixed effects of classes, as `slope_acc`.
    """
    return of_kinds(slope_within_classes, SLOPES["slope_pred"], kinds)


# The variables of slopes by class, nan where there is no logarithm.
SLOPES: dict[str, Callable[[FinishedRun], tuple[np.ndarray, ...]]] = {
    "slope_acc": lambda run: (decades(run.frequency), 100 * run.accuracy),
    "slope_pred": lambda run: (decades(run.frequency), decades(run.predictions / run.predictions.sum())),
}


def left_out(slope: str, kind: Kind) -> int:
    """The number of classes that a slope of a kind leaves out: those that one of its runs has no logarithm for."""
    variables = np.concatenate([SLOPES[slope](run) for run in kind])
    return int(np.isnan(variables).any(axis=0).sum())


def top1(*kinds: Kind) -> list[Bootstrapped]:
    """Mean accuracy over classes, in percent."""
    return of_kinds(mean_over_classes, lambda run: (100 * run.accuracy,), kinds)


def tail(*kinds: Kind) -> list[Bootstrapped]:
    """Mean accuracy over the tail classes of the first kind, in percent."""
    accuracies = []
    for runs in zip(*kinds):  # in a mirrored pair other classes are the tail
        of_tail = ([[100 * run.accuracy[runs[0].tail]]] for run in runs)
        accuracies.append(bootstrap(mean_over_classes, *of_tail, seed=len(accuracies)))
    return [mean_of(halves) for halves in zip(*accuracies)]


def probe(*kinds: Sequence[SetAccuracies]) -> list[Bootstrapped]:
    """Mean accuracy over classes of linear probes in percent, averaged over sets; of a mirrored pair the mean of both."""
    accuracies = []
    for n, on_set in enumerate(zip(*(zip(*runs) for runs in kinds))):  # the accuracies of each kind's runs on a set
        accuracies.append(bootstrap(mean_over_classes, *(100 * np.array([runs]) for runs in on_set), seed=n))
    return [mean_of(sets) for sets in zip(*accuracies)]


def of_kinds(
    statistic: Callable, variables: Callable[[FinishedRun], tuple[np.ndarray, ...]], kinds: Sequence[Kind]
) -> list[Bootstrapped]:
    """A statistic of variables that each run has by class."""
    samples = (np.stack([np.stack(variables(run)) for run in kind], axis=1) for kind in kinds)
    return bootstrap(statistic, *samples)


def mean_of(parts: Sequence[Bootstrapped]) -> Bootstrapped:
    return Bootstrapped(*(np.mean(values, axis=0) for values in zip(*parts)))


class Statistic(NamedTuple):
    """How a statistic of runs is computed and shown.

    Attributes:
        of: of evaluations on the same classes; with `of_probes`, of the accuracies of linear probes on the same sets.
        unit: what differences are differences of; the figure of claims has a panel for each unit.
        format: the format of values in reports.
        of_probes: whether it compares linear probes.
    """

    of: Callable[..., list[Bootstrapped]]
    unit: str
    format: str
    of_probes: bool = False


STATISTICS = {
    "slope_acc": Statistic(slope_acc, "points per decade", ".1f"),
    "slope_pred": Statistic(slope_pred, "decades per decade", ".2f"),
    "corr_acc": Statistic(corr_acc, "correlations", ".2f"),
    "corr_pred": Statistic(corr_pred, "correlations", ".2f"),
    "top1": Statistic(top1, "accuracies (points)", ".1f"),
    "tail": Statistic(tail, "accuracies (points)", ".1f"),
    "probe": Statistic(probe, "accuracies (points)", ".1f", of_probes=True),
}
