"""Tests claims by the bootstrap interval of the paired difference, over classes and seeds or mirrored pairs.

The variance between seeds comes from all kinds of runs of the study: metrics/seeds.py.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from cliptail_jax.claims.borrowed import Borrowed
from cliptail_jax.claims.verdicts import ClaimResult, correct_for_number, read_claims
from cliptail_jax.config.files import find_results
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.bootstrap import RESAMPLES, Bootstrapped, difference, difference_of_estimates
from cliptail_jax.metrics.equal_accuracy import compare_at_equal_accuracy
from cliptail_jax.metrics.examples import over_examples, unpaired_variances
from cliptail_jax.metrics.measures import CLASSES, MEASURES, PROBES, QUERIES, compare_probes
from cliptail_jax.metrics.seeds import SeedVariance, mean_over_seeds, pooled_variance, seed_variance
from cliptail_jax.results.claims import EXAMPLES, Change, Claim
from cliptail_jax.results.evaluation import ClassEvaluation, RetrievalEvaluation, read_course
from cliptail_jax.results.group import Evaluated, groups_of
from cliptail_jax.results.run import Run
from cliptail_jax.results.study import Replicate
from cliptail_jax.runs.console import with_bar


def evaluate_claims(
    claims: Mapping[str, Claim],
    replicates: Sequence[Replicate],
    changes: Mapping[str, Change],
    borrowed: Borrowed | None = None,
) -> dict[str, ClaimResult]:
    """The tests of claims by key, corrected for their number.

    Args:
        changes: the changes of claims since the first run.
        borrowed: the variances between seeds for claims on one seed or pair, if no runs of the study have several.
    """
    comparisons = {
        key: compare_replicates(claim, replicates) for key, claim in with_bar(claims.items(), "comparing", "claims")
    }
    kinds = functools.cache(lambda statistic, set_name: variances_of_kinds(replicates, statistic, set_name))
    results = []
    for key, (result, contrasts) in with_bar(comparisons.items(), "testing", "claims"):
        if result.condition:
            variance = variance_over_claims(key, comparisons)
        else:
            variance = pooled_variance(kinds(result.statistic, result.set), weights_of(result))
        if not variance and len(contrasts) == 1 and borrowed and result.quantity in borrowed.variances:
            variance = scaled(borrowed.variances[result.quantity], runs_of(result))
            result = dataclasses.replace(result, borrowed=borrowed.study)
        if variance and result.population == EXAMPLES:
            # Resamples of examples do not vary what trainings change in a class.
            variance = variance._replace(v_both=0.0)
        results.append(with_difference(result, contrasts, variance) if contrasts else result)
    results = correct_for_number(results)
    return {key: dataclasses.replace(r, change=changes.get(key, Change())) for key, r in zip(claims, results)}


def compare_replicates(claim: Claim, replicates: Sequence[Replicate]) -> tuple[ClaimResult, list[Bootstrapped]]:
    """The result of a claim before its test, and its difference in each seed or mirrored pair.

    A seed or pair is left out if one of its runs failed or its statistic is undefined. If all are left out or a run is at
    chance, there is no difference, and the result has the obstacle.
    """
    statistics, comparable_replicates, obstacles = [], [], []
    for replicate in replicates:
        try:
            statistics.append(compare(claim, replicate))
        except UserError as obstacle:
            obstacles.append(str(obstacle))
        else:
            comparable_replicates.append(replicate)
    result = ClaimResult(**vars(claim), by_seed=[(higher.value, lower.value) for higher, lower, *_ in statistics])
    if not statistics:
        return dataclasses.replace(result, obstacle=next(iter(obstacles), "no run has finished")), []
    for name in dict.fromkeys(claim.runs if MEASURES[claim.statistic].population == CLASSES else ()):
        if note := groups_of(replicates)[name].chance_note(claim.set):
            return dataclasses.replace(result, obstacle=f"{name} is at chance: {note}", at_chance=True), []
    contrasts = [difference(higher, lower) for higher, lower, *_ in statistics]
    if claim.population == EXAMPLES:
        contrasts = [
            contrast_over_examples(claim, replicate, contrast)
            for replicate, contrast in zip(comparable_replicates, contrasts)
        ]
    if claim.reference and not claim.study:
        contrasts = [difference(contrast, difference(*runs[2:])) for contrast, runs in zip(contrasts, statistics)]
    return result, contrasts


def contrast_over_examples(claim: Claim, replicate: Replicate, contrast: Bootstrapped) -> Bootstrapped:
    """The difference of a claim in one seed or mirrored pair, with draws over examples, from its counts by class."""
    higher, lower = (
        [
            (run.evaluated_on(claim.set) if claim.set else run.evaluation).results
            for run in (runs[name] for runs in replicate)
        ]
        for name in (claim.higher, claim.lower)
    )
    variances = [unpaired_variances(*pair) for pair in zip(higher, lower)]
    return over_examples(MEASURES[claim.statistic], contrast, higher, variances)


def with_difference(
    result: ClaimResult, contrasts: Sequence[Bootstrapped], variance: SeedVariance | None
) -> ClaimResult:
    """The result of a claim with its test: the interval of its mean difference over seeds or mirrored pairs.

    The interval of one seed or pair covers other seeds only with a variance between seeds from other runs.
    """
    estimate = mean_over_seeds(contrasts, variance)
    result = dataclasses.replace(result, covers_seeds=len(contrasts) > 1 or variance is not None)
    if result.study:
        try:
            other = subtracted_claim(result)
        except UserError as error:
            return dataclasses.replace(result, obstacle=str(error))
        if other.difference is None:
            obstacle = f"in {result.study}, {other.obstacle}"
            return dataclasses.replace(result, obstacle=obstacle, at_chance=other.at_chance)
        estimate = difference_of_estimates(estimate, other.difference)
    return dataclasses.replace(result, difference=estimate)


def weights_of(claim: Claim) -> dict[str, float]:
    """The weights of the runs of this study in the difference of a claim: 1, −2 and 1 in (a − b) − (b − c)."""
    weights: dict[str, float] = {}
    names = (claim.higher, claim.lower, *(() if claim.study else claim.reference))
    for name, sign in zip(names, (1, -1, -1, 1)):
        if isinstance(name, str):
            weights[name] = weights.get(name, 0) + sign
    return weights


def runs_of(claim: Claim) -> float:
    """The number of runs whose variances add up to that of the difference: 2, or 6 for (a − b) − (b − c)."""
    return sum(weight**2 for weight in weights_of(claim).values())


def scaled(variance: SeedVariance, runs: float) -> SeedVariance:
    """The variance of a sum of runs."""
    return variance._replace(v_seeds=variance.v_seeds * runs, v_both=variance.v_both * runs)


def variances_of_kinds(replicates: Sequence[Replicate], statistic: str, set_name: str = "") -> dict[str, SeedVariance]:
    """The variance between seeds of a measure on a set, of each kind of runs of a study that has several seeds.

    Kinds at chance are left out, because they vary less. Logarithmic measures have none: f50 and its variances differ by
    factors between kinds.
    """
    measure, groups = MEASURES[statistic], groups_of(replicates)
    variances = {}
    for name in () if measure.is_logarithmic else groups:
        statistics = []
        for replicate in replicates:
            with contextlib.suppress(UserError):
                statistics.append(compare(Claim("", statistic, name, 0.0, set=set_name), replicate)[0])
        variance = seed_variance(statistics)
        if variance and not (measure.population == CLASSES and groups[name].chance_note(set_name)):
            variances[name] = variance
    return variances


def variance_over_claims(
    key: str, comparisons: Mapping[str, tuple[ClaimResult, Sequence[Bootstrapped]]]
) -> SeedVariance | None:
    """The variance between seeds of a claim at equal accuracy, where the statistic of a run depends on the other runs.

    It is pooled over the claims on the same measure at equal accuracy, each in units of one run: a difference of two runs
    has twice the variance. The differences are treated as independent, although some of them share a run.
    """
    this_claim, variances = comparisons[key][0], {}
    for name, (claim, contrasts) in comparisons.items():
        variance, runs = seed_variance(contrasts), runs_of(claim)
        if claim.quantity == this_claim.quantity and variance and runs:
            variances[name] = scaled(variance, 1 / runs)
    return pooled_variance(variances, {key: np.sqrt(runs_of(this_claim))})


def subtracted_claim(claim: Claim) -> ClaimResult:
    """The test of the difference that a claim subtracts, in the results of another study. Raises UserError without one."""
    higher, lower = claim.reference
    for other in read_claims(find_results(claim.study)).values():
        if (other.higher, other.lower, other.quantity) == (higher, lower, claim.quantity) and not other.reference:
            return other
    raise UserError(f"{claim.study} tests no claim on {higher} − {lower} in {claim.quantity}")


def same_classes(runs: Sequence[Evaluated], evaluations: Sequence[ClassEvaluation | RetrievalEvaluation]) -> bool:
    """Whether runs have the same classes: by name, or by label if they differ only in the list of names."""
    if len({evaluation.class_names for evaluation in evaluations}) == 1:
        return True
    lists, selections = zip(*(run.names_and_selection() for run in runs))
    sizes = {len(evaluation.class_names) for evaluation in evaluations}
    return len(set(lists)) > 1 and len(sizes) == 1 and all(selection == selections[0] for selection in selections)


def compare(claim: Claim, replicate: Replicate) -> list[Bootstrapped]:
    """The statistic of the runs that a claim names, in its order, over the same resamples of the classes.

    Runs are compared on the claim's set; by default on their first one or, for probes, on all sets that they share.

    Raises:
        UserError: a run failed, or there is nothing to compare, or the measure is undefined.
    """
    if missing_names := [name for name in claim.runs if not all(name in runs for runs in replicate)]:
        names = " and ".join(dict.fromkeys(missing_names))
        is_half = len(replicate) > 1 and any(name in runs for name in missing_names for runs in replicate)
        raise UserError(
            f"a run of a mirrored pair of {names} is missing" if is_half else f"there is no trained run of {names}"
        )
    measure, groups = MEASURES[claim.statistic], [[runs[name] for runs in replicate] for name in claim.runs]
    if measure.population == PROBES:
        statistics = compare_probes(*probes_of(groups, claim.set))
    else:
        kind = "retrieval" if measure.population == QUERIES else "evaluation"
        evaluations = [
            [run.evaluated_on(claim.set) if claim.set else getattr(run, kind) for run in runs] for runs in groups
        ]
        all_evaluations = [evaluation for group in evaluations for evaluation in group]
        if not all(all_evaluations):
            raise UserError("not both have an evaluation set")
        if not same_classes([run for runs in groups for run in runs], all_evaluations):
            raise UserError("the runs have different classes")
        all_results = [evaluation.results for evaluation in all_evaluations]
        if not all(map(measure.is_known, all_results)):
            option = f": set eval.{measure.option}" if measure.option else ""
            raise UserError(f"not both have {measure.key}{option}")
        if measure.population == QUERIES and len({len(results.captions) for results in all_results}) > 1:
            raise UserError("the runs are evaluated on different captions")
        if claim.condition:
            statistics = compare_at_equal_accuracy(measure, *(courses_of(runs, claim.set) for runs in groups))
        else:
            statistics = measure.compare(*([evaluation.results for evaluation in group] for group in evaluations))
    if not np.isfinite([statistic.value for statistic in statistics]).all():
        if claim.condition:
            raise UserError(
                "not comparable: the first evaluation of a run is more accurate than another run at its end"
            )
        raise UserError("it is undefined for one of them, like a correlation of equal values")
    numbers, terms = iter(statistics), (claim.higher, claim.lower, *(() if claim.study else claim.reference))
    return [  # a number does not vary
        next(numbers) if isinstance(term, str) else Bootstrapped(term, np.full(RESAMPLES, term)) for term in terms
    ]


def courses_of(runs: Sequence[Run], set_name: str) -> list[list]:
    """The results of all evaluations during the training of each run, at the same steps.

    Raises UserError for runs with one evaluation, or with only the counts of the last one (by earlier versions).
    """
    courses = [read_course(run.workdir, run.evaluated_on(set_name)) if set_name else run.course for run in runs]
    for run, course in zip(runs, courses):
        if len(course) < 2:
            content = "one evaluation" if len(course) == len(run.sets[set_name or run.main_set]) else "no class counts"
            raise UserError(
                f"{run.name} has {content}, and a comparison at equal accuracy needs those of several evaluations during "
                "the training: train it with a smaller eval.every_epochs"
            )
    if len({tuple(course) for course in courses}) > 1:
        raise UserError(f"the runs of {runs[0].name} were evaluated at different steps")
    return [list(course.values()) for course in courses]


def probes_of(groups: Sequence[Sequence[Run]], set_name: str) -> list[list[list[np.ndarray]]]:
    """The accuracies of the linear probe of each run of each group, on each set that all runs have, or on `set_name`."""
    accuracies = [[run.probe_accuracies() for run in runs] for runs in groups]
    first, *further = (probes for group in accuracies for probes in group)
    sets = [name for name in first if all(name in probes for probes in further) and set_name in ("", name)]
    if not sets:
        raise UserError("there is no linear probe of both")
    return [[[probes[name] for name in sets] for probes in group] for group in accuracies]
