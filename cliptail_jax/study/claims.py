"""What a study claims of its runs, and what they say: that one of two has more of a statistic than the other."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from ml_collections import ConfigDict

from cliptail_jax import runs
from cliptail_jax.errors import UserError
from cliptail_jax.files import load_arrays
from cliptail_jax.metrics.correlation import Comparison, Difference, compare_correlations, compare_means, difference
from cliptail_jax.metrics.per_class import count_confusion, per_class_accuracy
from cliptail_jax.runs import FinishedRun
from cliptail_jax.transfer.program import Result, predictions_path
from cliptail_jax.transfer.sets import transfer_set

STATISTICS = ("corr_acc", "corr_pred", "top1", "tail", "probe")


@dataclasses.dataclass
class Outcome:
    """A run that is trained, and what was measured of it."""

    config: ConfigDict
    workdir: Path
    images: int  # it was trained on
    seconds: float  # it took
    transferred: Sequence[Result] = ()  # its cells of the transfer study

    def evaluated(self, on: str = "") -> FinishedRun | None:
        """The run on one of its evaluation sets, by default the first; None if it has none."""
        sets = self.config.eval.sets
        return FinishedRun.read(self.workdir, on or sets[0]) if sets else None

    def probed(self) -> dict[str, Float[np.ndarray, "class"]]:
        """Accuracy of each class in 0..1 by the run's linear probe on each set that has accuracies by class."""
        accuracies = {}
        for cell in self.transferred:
            if cell["method"] == "probe" and not transfer_set(cell["set"]).has_objects:
                arrays = load_arrays(predictions_path(self.workdir.parent / "transfer", cell))
                labels, predictions = arrays["labels"], arrays["predictions"]
                everyone = np.ones(len(labels), bool)
                confusion = count_confusion(labels, predictions, everyone, cell["sizes"]["classes"])
                accuracies[cell["set"]] = per_class_accuracy(confusion)
        return accuracies


Outcomes = Mapping[str, Outcome]  # of one seed, by the run's name


@dataclasses.dataclass
class Judgement:
    """A claim that `higher` has more of a statistic than `lower`, and what the runs say."""

    text: str
    statistic: str
    higher: str
    lower: str
    by_seed: list[tuple[float, float]]  # the statistic of both
    difference: Difference | None  # None where it could not be computed,
    obstacle: str = ""  # for this reason
    on: str = ""  # the set, where the claim names one

    @property
    def verdict(self) -> str:
        if self.difference is None:
            return "not tested"
        if self.difference.low > 0:
            return "supported"
        return "not supported" if self.difference.high < 0 else "inconclusive"


class NotComparable(Exception):
    """Why a claim cannot be tested."""


def check_claims(study: ConfigDict) -> None:
    """Raise a UserError that names what is wrong with one of the claims."""
    for key, claim in study.claims.items():
        missing = {"text", "statistic", "higher", "lower"} - set(claim)
        if missing:
            raise UserError(f"claims.{key} has no {' and no '.join(sorted(missing))}")
        if claim.statistic not in STATISTICS:
            raise UserError(f"claims.{key}.statistic is '{claim.statistic}'; it is one of {', '.join(STATISTICS)}")
        on = claim.get("set", "")
        for run in (claim.higher, claim.lower):
            if run not in study.runs:
                raise UserError(f"claims.{key} names the run '{run}'; the study has {', '.join(study.runs)}")
            if claim.statistic != "probe" and on not in ("", *study.runs[run].eval.sets):
                raise UserError(f"claims.{key}.set is '{on}', which run '{run}' is not evaluated on")
        if claim.statistic == "probe":
            check_probe(study, key, claim)


def check_probe(study: ConfigDict, key: str, claim: ConfigDict) -> None:
    """As `check_claims`, of a claim on linear probes."""
    if "transfer" not in study or "probe" not in study.transfer.methods:
        raise UserError(f"claims.{key} is on linear probes: the study needs a transfer with the method 'probe'")
    for run in (claim.higher, claim.lower):
        if run not in (study.transfer.models or study.runs):
            raise UserError(f"claims.{key} names the run '{run}', which is not among transfer.models")
    on = claim.get("set", "")
    if on not in ("", *study.transfer.sets):
        raise UserError(f"claims.{key}.set is '{on}'; the transfer has {', '.join(study.transfer.sets)}")
    if all(transfer_set(name).has_objects for name in ([on] if on else study.transfer.sets)):
        raise UserError(f"claims.{key} compares accuracies by class, which its set has not: give it another")


def judge(claim: ConfigDict, seeds: Sequence[Outcomes]) -> Judgement:
    """The bootstrap over classes, and over seeds where there are several, of the difference that the claim says is positive.

    Accuracies are compared class by class, every class counted alike; the tail is that of the run `higher`. A claim is on
    the runs' first evaluation set, and of probes on the mean over the transfer's sets that have accuracies by class, unless
    it has a `set` of its own. A seed in which a run failed, or the statistic of one is undefined, is left out.
    """
    comparisons, obstacles = [], []
    for outcomes in seeds:
        try:
            comparison = compare(claim, outcomes)
            if np.isnan(comparison.a - comparison.b):
                raise NotComparable("it is undefined of one of them, as a correlation with equal values is")
            comparisons.append(comparison)
        except (NotComparable, UserError) as obstacle:
            obstacles.append(str(obstacle))
    judged = (claim.text, claim.statistic, claim.higher, claim.lower, [c[:2] for c in comparisons])
    found = (difference(comparisons), "") if comparisons else (None, obstacles[0])
    return Judgement(*judged, *found, claim.get("set", ""))


def compare(claim: ConfigDict, outcomes: Outcomes) -> Comparison:
    """The claim's statistic of its two runs. Raises NotComparable."""
    pair, on = (claim.higher, claim.lower), claim.get("set", "")
    if failed := [run for run in pair if run not in outcomes]:
        raise NotComparable(f"{' and '.join(failed)} failed")
    if claim.statistic == "probe":
        a, b = (outcomes[run].probed() for run in pair)
        sets = [name for name in a if name in b and on in ("", name)]
        if not sets:
            raise NotComparable("there is no linear probe of both")
        of_sets = [compare_means(100 * a[s], 100 * b[s], np.arange(len(a[s])), seed=n) for n, s in enumerate(sets)]
        return Comparison(*(np.mean(values, axis=0) for values in zip(*of_sets)))
    a, b = (outcomes[run].evaluated(on) for run in pair)
    if a is None or b is None:
        raise NotComparable("not both have an evaluation set")
    if a.class_names != b.class_names:
        raise NotComparable("the runs have different classes")
    if claim.statistic == "corr_acc":
        return compare_correlations(a.frequency, a.accuracy, b.frequency, b.accuracy)
    if claim.statistic == "corr_pred":
        return compare_correlations(a.frequency, a.predictions, b.frequency, b.predictions)
    classes = a.tail if claim.statistic == "tail" else np.arange(len(a.class_names))
    return compare_means(100 * a.accuracy, 100 * b.accuracy, classes)


def finished_outcome(config: ConfigDict, workdir: Path) -> Outcome:
    """Of a run that is trained, before any transfer."""
    return Outcome(config, workdir, *runs.trained_on(workdir))
