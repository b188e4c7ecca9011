"""The statistics that claims compare. Adding one takes its function and its entry in STATISTICS."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from cliptail_jax.errors import UserError
from cliptail_jax.metrics.correlation import Comparison, compare_correlations, compare_means
from cliptail_jax.runs import FinishedRun
from cliptail_jax.study.trained_run import TrainedRun
from cliptail_jax.transfer.sets import transfer_set


class NotComparable(Exception):
    """Raised with the reason why a statistic of two runs cannot be compared."""


def check_evaluated(
    key: str, claim: ConfigDict, eval_sets: Mapping[str, Sequence[str]], transfer: ConfigDict | None
) -> None:
    """Raise UserError if one of the runs is not evaluated on the claim's set. Arguments as of `claims.check_claims`."""
    for run in (claim.higher, claim.lower):
        if claim.get("set", "") not in ("", *eval_sets[run]):
            raise UserError(f"claims.{key}.set is '{claim.set}', which run '{run}' is not evaluated on")


@dataclasses.dataclass(frozen=True)
class Statistic:
    """A statistic of two runs.

    Attributes:
        compare: the statistic of both runs on a set ('' for the default); raises NotComparable.
        unit: what its differences are differences of; figures have a panel for each unit.
        format: the format of its values in reports.
        check: raises UserError if a claim's runs and set do not fit the statistic.
    """

    compare: Callable[[TrainedRun, TrainedRun, str], Comparison]
    unit: str
    format: str
    check: Callable[[str, ConfigDict, Mapping[str, Sequence[str]], ConfigDict | None], None] = check_evaluated


def of_evaluations(
    compare: Callable[[FinishedRun, FinishedRun], Comparison],
) -> Callable[[TrainedRun, TrainedRun, str], Comparison]:
    """Compare the evaluations of two runs, by default on their first sets."""

    def compare_runs(a: TrainedRun, b: TrainedRun, on: str) -> Comparison:
        evaluation_a, evaluation_b = a.evaluation(on), b.evaluation(on)
        if evaluation_a is None or evaluation_b is None:
            raise NotComparable("not both have an evaluation set")
        if evaluation_a.class_names != evaluation_b.class_names:
            raise NotComparable("the runs have different classes")
        return compare(evaluation_a, evaluation_b)

    return compare_runs


def corr_acc(a: FinishedRun, b: FinishedRun) -> Comparison:
    """Spearman's correlation of class frequency with accuracy."""
    return compare_correlations(a.frequency, a.accuracy, b.frequency, b.accuracy)


def corr_pred(a: FinishedRun, b: FinishedRun) -> Comparison:
    """Spearman's correlation of class frequency with the number of predictions."""
    return compare_correlations(a.frequency, a.predictions, b.frequency, b.predictions)


def top1(a: FinishedRun, b: FinishedRun) -> Comparison:
    """Mean accuracy over classes, in percent."""
    return compare_means(100 * a.accuracy, 100 * b.accuracy, np.arange(len(a.class_names)))


def tail(a: FinishedRun, b: FinishedRun) -> Comparison:
    """Mean accuracy over the tail classes of the first run, in percent."""
    return compare_means(100 * a.accuracy, 100 * b.accuracy, a.tail)


def probe(a: TrainedRun, b: TrainedRun, on: str) -> Comparison:
    """Mean accuracy over classes of linear probes in percent, on one transfer set or as a mean over all."""
    accuracies_a, accuracies_b = a.probe_accuracies(), b.probe_accuracies()
    sets = [name for name in accuracies_a if name in accuracies_b and on in ("", name)]
    if not sets:
        raise NotComparable("there is no linear probe of both")
    comparisons = [
        compare_means(100 * accuracies_a[s], 100 * accuracies_b[s], np.arange(len(accuracies_a[s])), seed=n)
        for n, s in enumerate(sets)
    ]
    return Comparison(*(np.mean(values, axis=0) for values in zip(*comparisons)))


def check_probed(
    key: str, claim: ConfigDict, eval_sets: Mapping[str, Sequence[str]], transfer: ConfigDict | None
) -> None:
    """Raise UserError if the study does not probe both runs on the claim's set."""
    if transfer is None or "probe" not in transfer.methods:
        raise UserError(f"claims.{key} is on linear probes: the study needs a transfer with the method 'probe'")
    for run in (claim.higher, claim.lower):
        if run not in (transfer.models or eval_sets):
            raise UserError(f"claims.{key} names the run '{run}', which is not among transfer.models")
    on = claim.get("set", "")
    if on not in ("", *transfer.sets):
        raise UserError(f"claims.{key}.set is '{on}'; the transfer has {', '.join(transfer.sets)}")
    if all(transfer_set(name).has_objects for name in ([on] if on else transfer.sets)):
        raise UserError(f"claims.{key} compares accuracies by class, which its set does not have: choose another set")


STATISTICS = {
    "corr_acc": Statistic(of_evaluations(corr_acc), "correlations", ".2f"),
    "corr_pred": Statistic(of_evaluations(corr_pred), "correlations", ".2f"),
    "top1": Statistic(of_evaluations(top1), "accuracies (points)", ".1f"),
    "tail": Statistic(of_evaluations(tail), "accuracies (points)", ".1f"),
    "probe": Statistic(probe, "accuracies (points)", ".1f", check_probed),
}
