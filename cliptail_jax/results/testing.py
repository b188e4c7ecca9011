"""Tests claims by the bootstrap interval of the paired difference, over classes and seeds or mirrored pairs.

The variance between seeds comes from all kinds of runs of the study: metrics/seeds.py.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from cliptail_jax.config.files import find_results
from cliptail_jax.errors import UserError
from cliptail_jax.metrics.bootstrap import RESAMPLES, Bootstrapped, difference, difference_of_estimates
from cliptail_jax.metrics.equal_accuracy import compare_at_equal_accuracy
from cliptail_jax.metrics.measures import CLASSES, MEASURES, PROBES, QUERIES, compare_probes
from cliptail_jax.metrics.seeds import SeedVariance, mean_over_seeds, pooled_variance, seed_variance
from cliptail_jax.results.claims import Change, Claim, ClaimResult, correct_for_number, read_claims
from cliptail_jax.results.evaluation import ClassEvaluation, RetrievalEvaluation, read_course
from cliptail_jax.results.group import groups_of
from cliptail_jax.results.run import Run
from cliptail_jax.results.study import Borrowed, Replicate
from cliptail_jax.runs.console import with_bar


def evaluate_claims(
    claims: Mapping[str, Claim],
    replicates: Sequence[Replicate],
    changes: Mapping[str, Change],
    borrowed: Borrowed | None = None,
) -> dict[str, ClaimResult]:
    """The tests of claims by key, corrected for their number.

    Args:
        changes: changes since the first run.
        borrowed: the variances between seeds for claims on one seed or pair, if no runs of the study have several.
    """
    compared = {
        key: compare_replicates(claim, replicates) for key, claim in with_bar(claims.items(), "comparing", "claims")
    }
    kinds = functools.cache(lambda statistic, on: variances_of_kinds(replicates, statistic, on))
    results = []
    for key, (result, contrasts) in with_bar(compared.items(), "testing", "claims"):
        if result.at:
            pooled = pooled_over_claims(key, compared)
        else:
            pooled = pooled_variance(kinds(result.statistic, result.set), weights_of(result))
        if not pooled and len(contrasts) == 1 and borrowed and result.measured in borrowed.variances:
            pooled = times(borrowed.variances[result.measured], runs_of(result))
            result = dataclasses.replace(result, borrowed=borrowed.study)
        results.append(tested(result, contrasts, pooled) if contrasts else result)
    results = correct_for_number(results)
    return {key: dataclasses.replace(r, change=changes.get(key, Change())) for key, r in zip(claims, results)}


def compare_replicates(claim: Claim, replicates: Sequence[Replicate]) -> tuple[ClaimResult, list[Bootstrapped]]:
    """The result of a claim before its test, and the difference that it is on in each seed or mirrored pair.

    A seed or pair is left out if one of its runs failed or its statistic is undefined. There is no difference, and the
    result has the obstacle, if this is so in all of them or a run is at chance.
    """
    compared, obstacles = [], []
    for replicate in replicates:
        try:
            compared.append(compare(claim, replicate))
        except UserError as obstacle:
            obstacles.append(str(obstacle))
    result = ClaimResult(**vars(claim), by_seed=[(higher.value, lower.value) for higher, lower, *_ in compared])
    if not compared:
        return dataclasses.replace(result, obstacle=next(iter(obstacles), "no run has finished")), []
    for name in dict.fromkeys(claim.runs if MEASURES[claim.statistic].over == CLASSES else ()):
        if note := groups_of(replicates)[name].chance_note(claim.set):
            return dataclasses.replace(result, obstacle=f"{name} is at chance: {note}", at_chance=True), []
    contrasts = [difference(*found[:2]) for found in compared]
    if claim.minus and not claim.study:
        contrasts = [difference(own, difference(*found[2:])) for own, found in zip(contrasts, compared)]
    return result, contrasts


def tested(result: ClaimResult, contrasts: Sequence[Bootstrapped], pooled: SeedVariance | None) -> ClaimResult:
    """Test a claim by the interval of its mean difference over seeds or mirrored pairs.

    That of one seed or pair covers other seeds only if the variance between seeds is known from other runs.
    """
    estimate = mean_over_seeds(contrasts, pooled)
    result = dataclasses.replace(result, covers_seeds=len(contrasts) > 1 or pooled is not None)
    if result.study:
        try:
            other = subtracted(result)
        except UserError as error:
            return dataclasses.replace(result, obstacle=str(error))
        if other.difference is None:
            obstacle = f"in {result.study}, {other.obstacle}"
            return dataclasses.replace(result, obstacle=obstacle, at_chance=other.at_chance)
        estimate = difference_of_estimates(estimate, other.difference)
    return dataclasses.replace(result, difference=estimate)


def weights_of(claim: Claim) -> dict[str, float]:
    """The weights of the runs of this study in the difference that a claim is on: 1, −2 and 1 in (a − b) − (b − c)."""
    weights: dict[str, float] = {}
    names = (claim.higher, claim.lower, *(() if claim.study else claim.minus))
    for name, sign in zip(names, (1, -1, -1, 1)):
        if isinstance(name, str):
            weights[name] = weights.get(name, 0) + sign
    return weights


def runs_of(claim: Claim) -> float:
    """The number of runs whose variances add up to that of the difference: 2, or 6 of (a − b) − (b − c)."""
    return sum(weight**2 for weight in weights_of(claim).values())


def times(variance: SeedVariance, runs: float) -> SeedVariance:
    """The variance of a sum of runs."""
    return variance._replace(of_seeds=variance.of_seeds * runs, of_both=variance.of_both * runs)


def variances_of_kinds(replicates: Sequence[Replicate], statistic: str, on: str = "") -> dict[str, SeedVariance]:
    """The variance between seeds of a measure on a set, of each kind of runs of a study with several seeds.

    Kinds at chance are left out: they vary less. f50 differs between kinds by factors, and so do its variances, so there are
    none.
    """
    measure, groups = MEASURES[statistic], groups_of(replicates)
    variances = {}
    for name in () if measure.is_logarithmic else groups:
        found = []
        for replicate in replicates:
            with contextlib.suppress(UserError):
                found.append(compare(Claim("", statistic, name, 0.0, set=on), replicate)[0])
        variance = seed_variance(found)
        if variance and not (measure.over == CLASSES and groups[name].chance_note(on)):
            variances[name] = variance
    return variances


def pooled_over_claims(
    key: str, compared: Mapping[str, tuple[ClaimResult, Sequence[Bootstrapped]]]
) -> SeedVariance | None:
    """The variance between seeds of a claim at equal accuracy, where the statistic of a run depends on the other runs.

    It is pooled over the claims on the same measure at equal accuracy, each in units of one run: that of a difference of two
    runs has twice the variance. Their differences are treated as independent, although some share a run.
    """
    own, variances = compared[key][0], {}
    for other, (claim, contrasts) in compared.items():
        variance, runs = seed_variance(contrasts), runs_of(claim)
        if claim.measured == own.measured and variance and runs:
            variances[other] = times(variance, 1 / runs)
    return pooled_variance(variances, {key: np.sqrt(runs_of(own))})


def subtracted(claim: Claim) -> ClaimResult:
    """The test, in the results of another study, of the difference that a claim subtracts. Raises UserError without one."""
    higher, lower = claim.minus
    for other in read_claims(find_results(claim.study)).values():
        if (other.higher, other.lower, other.measured) == (higher, lower, claim.measured) and not other.minus:
            return other
    raise UserError(f"{claim.study} tests no claim on {higher} − {lower} in {claim.measured}")


def same_classes(runs: Sequence[Run], evaluations: Sequence[ClassEvaluation | RetrievalEvaluation]) -> bool:
    """Whether runs have the same classes: by name, or by label if they differ only in the list of names."""
    if len({evaluation.class_names for evaluation in evaluations}) == 1:
        return True
    lists, selections = zip(*(run.names_and_selection() for run in runs))
    sizes = {len(evaluation.class_names) for evaluation in evaluations}
    return len(set(lists)) > 1 and len(sizes) == 1 and all(selection == selections[0] for selection in selections)


def compare(claim: Claim, replicate: Replicate) -> list[Bootstrapped]:
    """The statistic of the runs that a claim names, in its order, over the same resamples of the classes.

    Runs are compared on the claim's set, by default their first one or, for probes, all shared sets.

    Raises:
        UserError: a run failed, or there is nothing to compare, or the measure is undefined.
    """
    if failed := [name for name in claim.runs if not all(name in runs for runs in replicate)]:
        of = " and ".join(dict.fromkeys(failed))
        is_half = len(replicate) > 1 and any(name in runs for name in failed for runs in replicate)
        raise UserError(
            f"a run of a mirrored pair of {of} is missing" if is_half else f"there is no trained run of {of}"
        )
    measure, groups = MEASURES[claim.statistic], [[runs[name] for runs in replicate] for name in claim.runs]
    if measure.over == PROBES:
        found = compare_probes(*probes_of(groups, claim.set))
    else:
        kind = "retrieval" if measure.over == QUERIES else "evaluation"
        evaluations = [
            [run.evaluated_on(claim.set) if claim.set else getattr(run, kind) for run in runs] for runs in groups
        ]
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
        if claim.at:
            found = compare_at_equal_accuracy(measure, *(courses_of(runs, claim.set) for runs in groups))
        else:
            found = measure.compare(*results)
    if not np.isfinite([of.value for of in found]).all():
        if claim.at:
            raise UserError(
                "not comparable: the first evaluation of a run is more accurate than another run at its end"
            )
        raise UserError("it is undefined for one of them, like a correlation of equal values")
    of_runs, names = iter(found), (claim.higher, claim.lower, *(() if claim.study else claim.minus))
    return [  # a number does not vary
        next(of_runs) if isinstance(name, str) else Bootstrapped(name, np.full(RESAMPLES, name)) for name in names
    ]


def courses_of(runs: Sequence[Run], on: str) -> list[list]:
    """The results of all evaluations during the training of each run, at the same steps.

    Raises UserError for runs with one evaluation or, from earlier versions, only the counts of the last one.
    """
    courses = [read_course(run.workdir, run.evaluated_on(on)) if on else run.course for run in runs]
    for run, course in zip(runs, courses):
        if len(course) < 2:
            what = "one evaluation" if len(course) == len(run.sets[on or run.main_set]) else "no class counts"
            raise UserError(
                f"{run.name} has {what}, and a comparison at equal accuracy needs those of several evaluations during the "
                "training: train it with a smaller eval.every_epochs"
            )
    if len({tuple(course) for course in courses}) > 1:
        raise UserError(f"the runs of {runs[0].name} were evaluated at different steps")
    return [list(course.values()) for course in courses]


def probes_of(groups: Sequence[Sequence[Run]], on: str) -> list[list[list[np.ndarray]]]:
    """The accuracies of the linear probe of each run of each group, on each set that all runs have, or on one set."""
    accuracies = [[run.probe_accuracies() for run in runs] for runs in groups]
    first, *others = (of_run for of_group in accuracies for of_run in of_group)
    sets = [name for name in first if all(name in other for other in others) and on in ("", name)]
    if not sets:
        raise UserError("there is no linear probe of both")
    return [[[of_run[name] for name in sets] for of_run in of_group] for of_group in accuracies]
