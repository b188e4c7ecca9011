"""Hypotheses that one run exceeds another in a statistic, stated before the runs and tested by bootstrap.

The interval of the paired difference decides, over classes and over seeds or mirrored pairs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cliptail_jax.errors import UserError
from cliptail_jax.metrics.bootstrap import LEVEL, Bootstrapped, Estimate, difference, mean_over_seeds
from cliptail_jax.metrics.measures import MEASURES, QUERIES, Measure, compare_probes
from cliptail_jax.results.evaluation import Evaluation, RetrievalEvaluation
from cliptail_jax.results.run import Run

Runs = Mapping[str, Run]  # by name
Replicate = Sequence[Runs]  # the runs of a seed, or those of a mirrored pair
NOT_TESTED, INCONCLUSIVE, NO_EFFECT = "not tested", "inconclusive", "no effect"


@dataclasses.dataclass(frozen=True)
class Claim:
    """A claim in a study's config.

    Attributes:
        higher: the run that is claimed to be higher in a statistic, the key of a measure.
        lower: the other run.
        margin: within which a difference counts as none; measures have one each, see `cliptail_jax.experiments.studies.claim`.
        set: the evaluation or transfer set; by default the first, of a measure of retrieval the first without labels.
    """

    text: str
    statistic: str
    higher: str
    lower: str
    margin: float = 0.0
    set: str = ""

    def __post_init__(self):
        if self.statistic not in MEASURES:
            raise ValueError(f"there is no measure '{self.statistic}'")


class Change(NamedTuple):
    """A change after the first run of a study.

    Attributes:
        mark: '†' if the claim was added or is another one, '‡' if only the recipe of its runs is another one.
        text: the fields with their old and new values.
    """

    mark: str = ""
    text: str = ""


@dataclasses.dataclass(frozen=True)
class ClaimResult:
    """The test of a claim that run `higher` exceeds run `lower` in a statistic.

    Attributes:
        by_seed: the statistic of both runs, of each seed or mirrored pair.
        difference: their difference; None if the claim could not be tested, which `obstacle` explains.
        margin: differences of at most so much count as none.
        on: the set, if the claim names one.
        corrected: the verdict that is corrected for the number of claims, by `correct_for_number`.
        change: how the claim was changed after the first run.
    """

    text: str
    statistic: str
    higher: str
    lower: str
    by_seed: Sequence[tuple[float, float]]
    difference: Estimate | None
    obstacle: str = ""
    margin: float = 0.0
    on: str = ""
    corrected: str = ""
    change: Change = Change()

    @property
    def verdict(self) -> str:
        return self.verdict_at(LEVEL)

    def verdict_at(self, level: float) -> str:
        """The verdict by the interval of a level.

        "no effect" if it lies within ± the margin; else "supported" if it lies above 0, "contradicted" if below 0, and
        "inconclusive" if it contains 0.
        """
        if self.difference is None:
            return NOT_TESTED
        low, high = self.difference.interval(level)
        if self.margin and -self.margin <= low and high <= self.margin:
            return NO_EFFECT
        if low > 0:
            return "supported"
        return "contradicted" if high < 0 else INCONCLUSIVE

    @property
    def p_value(self) -> float:
        """1 − the highest level at which the verdict holds; 0.05 or more of one that is "inconclusive"."""
        if self.verdict == NO_EFFECT:
            return max(self.difference.p_value(bound) for bound in (-self.margin, self.margin))
        return self.difference.p_value()


def correct_for_number(results: Sequence[ClaimResult]) -> list[ClaimResult]:
    """The results with verdicts that all hold together with 95 % confidence, by the step-down procedure of Holm (1979).

    In the order of their p-values, the claim of rank k (from 0) of m keeps its verdict if that is also the verdict of the
    interval of level 1 − 0.05 / (m − k). The first claim of which it is not, and all after it, are inconclusive.
    """
    tested = [i for i, result in enumerate(results) if result.difference is not None]
    verdicts = dict.fromkeys(tested, INCONCLUSIVE)
    for rank, i in enumerate(sorted(tested, key=lambda i: results[i].p_value)):
        verdict = results[i].verdict_at(1 - (1 - LEVEL) / (len(tested) - rank))
        if verdict != results[i].verdict:
            break
        verdicts[i] = verdict
    return [dataclasses.replace(result, corrected=verdicts.get(i, NOT_TESTED)) for i, result in enumerate(results)]


def evaluate_claims(
    claims: Mapping[str, Claim], replicates: Sequence[Replicate], changes: Mapping[str, Change]
) -> dict[str, ClaimResult]:
    """The tests of claims by key, corrected for their number. `changes` are those since the first run."""
    results = correct_for_number([evaluate_claim(claim, replicates) for claim in claims.values()])
    return {key: dataclasses.replace(r, change=changes.get(key, Change())) for key, r in zip(claims, results)}


def evaluate_claim(claim: Claim, replicates: Sequence[Replicate]) -> ClaimResult:
    """Test a claim by the interval of the mean difference over seeds or mirrored pairs.

    One of them is left out if one of its runs failed or its statistic is undefined.
    """
    compared, obstacles = [], []
    for replicate in replicates:
        try:
            compared.append(compare(MEASURES[claim.statistic], claim.higher, claim.lower, replicate, claim.set))
        except UserError as obstacle:
            obstacles.append(str(obstacle))
    by_seed = [(higher.value, lower.value) for higher, lower in compared]
    tested = mean_over_seeds([difference(*both) for both in compared]) if compared else None
    return ClaimResult(
        claim.text,
        claim.statistic,
        claim.higher,
        claim.lower,
        by_seed,
        tested,
        obstacle="" if compared else next(iter(obstacles), "no run has finished"),
        margin=claim.margin,
        on=claim.set,
    )


def same_classes(runs: Sequence[Run], evaluations: Sequence[Evaluation | RetrievalEvaluation]) -> bool:
    """Whether the classes of runs are the same: by their names, or by label where runs differ in the list of names."""
    if len({evaluation.class_names for evaluation in evaluations}) == 1:
        return True
    lists, selections = zip(*(run.names_and_selection() for run in runs))
    sizes = {len(evaluation.class_names) for evaluation in evaluations}
    return len(set(lists)) > 1 and len(sizes) == 1 and all(selection == selections[0] for selection in selections)


def compare(measure: Measure, higher: str, lower: str, replicate: Replicate, on: str) -> list[Bootstrapped]:
    """The measure of two runs on a set: by default on their first one, or of probes on all that both have.

    Raises:
        UserError: a run failed, or there is nothing to compare, or the measure is undefined.
    """
    if failed := [name for name in (higher, lower) if not all(name in runs for runs in replicate)]:
        raise UserError(f"{' and '.join(failed)} failed")
    groups = [[runs[name] for runs in replicate] for name in (higher, lower)]
    if measure.of_probes:
        a, b = compare_probes(*probes_of(groups, on))
    else:
        kind = "retrieval" if measure.over == QUERIES else "evaluation"
        evaluations = [[run.evaluated_on(on) if on else getattr(run, kind) for run in runs] for runs in groups]
        every = [evaluation for of_group in evaluations for evaluation in of_group]
        if not all(every):
            raise UserError("not both have an evaluation set")
        if not same_classes([run for runs in groups for run in runs], every):
            raise UserError("the runs have different classes")
        results = [[evaluation.results for evaluation in of_group] for of_group in evaluations]
        if not all(measure.is_known(of_run) for of_group in results for of_run in of_group):
            option = f": set eval.{measure.option}" if measure.option else ""
            raise UserError(f"not both have {measure.key}{option}")
        if len({len(of_run.captions) for of_group in results for of_run in of_group if measure.over == QUERIES}) > 1:
            raise UserError("the runs are evaluated on different captions")
        a, b = measure.compare(*results)
    if not np.isfinite(a.value - b.value):
        raise UserError("it is undefined of one of them, as a correlation with equal values is")
    return [a, b]


def probes_of(groups: Sequence[Sequence[Run]], on: str) -> list[list[list[np.ndarray]]]:
    """For each run of each group, the accuracies of its linear probe on each set that all runs have, or on one set."""
    accuracies = [[run.probe_accuracies() for run in runs] for runs in groups]
    first, *others = (of_run for of_group in accuracies for of_run in of_group)
    sets = [name for name in first if all(name in other for other in others) and on in ("", name)]
    if not sets:
        raise UserError("there is no linear probe of both")
    return [[[of_run[name] for name in sets] for of_run in of_group] for of_group in accuracies]
