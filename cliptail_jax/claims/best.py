"""The best run of a study by mean accuracy over classes, with the tests that it is better than the others."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cliptail_jax.claims.judge import evaluate_study
from cliptail_jax.claims.verdicts import ClaimResult
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.results.claims import EXAMPLES, Claim
from cliptail_jax.results.study import Replicate, Study

CRITERION = "mean_per_class"  # the measure that decides which run is best, fixed before any run


class BestRun(NamedTuple):
    """The best run, and the tests of its differences. The tests in an attribute are corrected for their number.

    Attributes:
        name: the run whose mean accuracy over classes exceeds that of the baseline most.
        over_baseline: by run, the test that its mean accuracy over classes is larger than that of the baseline.
        over_others: by other run, the test that the best one has a larger mean accuracy over classes.
        head: the test that the baseline is more accurate in the head; None if it is undefined.
    """

    name: str
    over_baseline: Mapping[str, ClaimResult]
    over_others: Mapping[str, ClaimResult]
    head: ClaimResult | None


def best_run(study: Study, replicates: Sequence[Replicate]) -> BestRun | None:
    """The best run, compared with the study's baseline; None if none is comparable with it, as at chance."""
    baseline = study.baseline
    runs = dict.fromkeys(name for replicate in replicates for runs_of_seed in replicate for name in runs_of_seed)
    if baseline not in runs:
        return None
    tests = differences({name: (name, baseline) for name in runs if name != baseline}, CRITERION, study, replicates)
    if not tests:
        return None
    best = max(tests, key=lambda name: tests[name].difference.value)
    ties = differences({name: (best, name) for name in tests if name != best}, CRITERION, study, replicates)
    head = differences({best: (baseline, best)}, "head", study, replicates)
    return BestRun(best, tests, ties, head.get(best))


def differences(
    pairs: Mapping[str, tuple[str, str]], statistic: str, study: Study, replicates: Sequence[Replicate]
) -> dict[str, ClaimResult]:
    """The tests that the first run of each pair is higher than the second, for the classes of the study.

    Their intervals cover the choice of test examples and, if several runs show them, differences between trainings, where those
    of the study's claims cover the choice of classes. They are corrected for their number. Pairs that cannot be tested are left
    out.
    """
    margin = MEASURES[statistic].margin
    claims = {key: Claim("", statistic, *pair, margin=margin, population=EXAMPLES) for key, pair in pairs.items()}
    results = evaluate_study(dataclasses.replace(study, claims=claims, changes={}), replicates)
    return {key: result for key, result in results.items() if result.difference}
