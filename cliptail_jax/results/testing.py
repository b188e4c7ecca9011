"""Tests claims by the bootstrap interval of the paired difference, over classes and seeds or mirrored pairs."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from cliptail_jax.config.files import find_results
from cliptail_jax.errors import UserError
from cliptail_jax.metrics.bootstrap import RESAMPLES, Bootstrapped, difference, difference_of_estimates, mean_over_seeds
from cliptail_jax.metrics.equal_accuracy import compare_at_equal_accuracy
from cliptail_jax.metrics.measures import CLASSES, MEASURES, PROBES, QUERIES, compare_probes
from cliptail_jax.results.claims import Change, Claim, ClaimResult, correct_for_number, read_claims
from cliptail_jax.results.evaluation import ClassEvaluation, RetrievalEvaluation, read_course
from cliptail_jax.results.group import groups_of
from cliptail_jax.results.run import Run
from cliptail_jax.results.study import Replicate


def evaluate_claims(
    claims: Mapping[str, Claim], replicates: Sequence[Replicate], changes: Mapping[str, Change]
) -> dict[str, ClaimResult]:
    """The tests of claims by key, corrected for their number. `changes` are changes since the first run."""
    results = correct_for_number([evaluate_claim(claim, replicates) for claim in claims.values()])
    return {key: dataclasses.replace(r, change=changes.get(key, Change())) for key, r in zip(claims, results)}


def evaluate_claim(claim: Claim, replicates: Sequence[Replicate]) -> ClaimResult:
    """Test a claim by the interval of the mean difference over seeds or mirrored pairs.

    A seed or pair is left out if one of its runs failed or its statistic is undefined.
    """
    compared, obstacles = [], []
    for replicate in replicates:
        try:
            compared.append(compare(claim, replicate))
        except UserError as obstacle:
            obstacles.append(str(obstacle))
    result = ClaimResult(**vars(claim), by_seed=[(higher.value, lower.value) for higher, lower, *_ in compared])
    if not compared:
        return dataclasses.replace(result, obstacle=next(iter(obstacles), "no run has finished"))
    for name in dict.fromkeys(claim.runs if MEASURES[claim.statistic].over == CLASSES else ()):
        if note := groups_of(replicates)[name].chance_note(claim.set):
            return dataclasses.replace(result, obstacle=f"{name} is at chance: {note}", at_chance=True)
    contrasts = [difference(*found[:2]) for found in compared]
    if claim.minus and not claim.study:
        contrasts = [difference(own, difference(*found[2:])) for own, found in zip(contrasts, compared)]
    tested = mean_over_seeds(contrasts)
    if claim.study:
        try:
            other = subtracted(claim)
        except UserError as error:
            return dataclasses.replace(result, obstacle=str(error))
        if other.difference is None:
            obstacle = f"in {claim.study}, {other.obstacle}"
            return dataclasses.replace(result, obstacle=obstacle, at_chance=other.at_chance)
        tested = difference_of_estimates(tested, other.difference)
    return dataclasses.replace(result, difference=tested)


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
        raise UserError(f"there is no trained run of {' and '.join(dict.fromkeys(failed))}")
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
