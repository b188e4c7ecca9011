"""Hypotheses that one run exceeds another in a statistic, tested by bootstrap.

A claim in a study's config has a `text`, a `statistic`, the runs that are claimed to be `higher` and `lower`, and optionally
a `set`.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from cliptail_jax.errors import UserError
from cliptail_jax.metrics.correlation import Comparison, Difference, difference
from cliptail_jax.study.statistics import STATISTICS, Statistic
from cliptail_jax.study.trained_run import Runs
from cliptail_jax.transfer.sets import transfer_set


@dataclasses.dataclass
class ClaimResult:
    """The test of a claim that run `higher` exceeds run `lower` in a statistic."""

    text: str
    statistic: str
    higher: str
    lower: str
    by_seed: list[tuple[float, float]]  # the statistic of both runs
    difference: Difference | None  # None if the claim could not be tested,
    obstacle: str = ""  # for this reason
    on: str = ""  # the set, if the claim names one

    @property
    def verdict(self) -> str:
        if self.difference is None:
            return "not tested"
        if self.difference.low > 0:
            return "supported"
        return "not supported" if self.difference.high < 0 else "inconclusive"


def check_claims(claims: ConfigDict, eval_sets: Mapping[str, Sequence[str]], transfer: ConfigDict | None) -> None:
    """Raise UserError if a claim is incomplete or cannot be tested.

    Args:
        claims: the claims by key.
        eval_sets: the evaluation sets of each run of the study.
        transfer: the study's transfer config, if it has one.
    """
    for key, claim in claims.items():
        missing = {"text", "statistic", "higher", "lower"} - set(claim)
        if missing:
            raise UserError(f"claims.{key} has no {' and no '.join(sorted(missing))}")
        if claim.statistic not in STATISTICS:
            raise UserError(f"claims.{key}.statistic is '{claim.statistic}'; it is one of {', '.join(STATISTICS)}")
        of_probes = STATISTICS[claim.statistic].of_probes
        for run in (claim.higher, claim.lower):
            if run not in eval_sets:
                raise UserError(f"claims.{key} names the run '{run}'; the study has {', '.join(eval_sets)}")
            if not of_probes and claim.get("set", "") not in ("", *eval_sets[run]):
                raise UserError(f"claims.{key}.set is '{claim.set}', which run '{run}' is not evaluated on")
        if of_probes:
            check_probes(key, claim, tuple(eval_sets), transfer)


def check_probes(key: str, claim: ConfigDict, runs: Sequence[str], transfer: ConfigDict | None) -> None:
    """Raise UserError if the study does not probe both runs on the claim's set."""
    if transfer is None or "probe" not in transfer.methods:
        raise UserError(f"claims.{key} is on linear probes: the study needs a transfer with the method 'probe'")
    for run in (claim.higher, claim.lower):
        if run not in (transfer.models or runs):
            raise UserError(f"claims.{key} names the run '{run}', which is not among transfer.models")
    on = claim.get("set", "")
    if on not in ("", *transfer.sets):
        raise UserError(f"claims.{key}.set is '{on}'; the transfer has {', '.join(transfer.sets)}")
    if all(transfer_set(name).has_objects for name in ([on] if on else transfer.sets)):
        raise UserError(f"claims.{key} compares accuracies by class, which its set does not have: choose another set")


def evaluate_claim(claim: ConfigDict, seeds: Sequence[Runs]) -> ClaimResult:
    """Test a claim by the bootstrap interval of the difference, over classes and, with several seeds, over seeds.

    A seed is left out if one of its two runs failed or its statistic is undefined.
    """
    on = claim.get("set", "")
    comparisons, obstacles = [], []
    for runs in seeds:
        try:
            comparisons.append(compare(STATISTICS[claim.statistic], claim.higher, claim.lower, runs, on))
        except UserError as obstacle:
            obstacles.append(str(obstacle))
    by_seed = [(comparison.a, comparison.b) for comparison in comparisons]
    tested, obstacle = (difference(comparisons), "") if comparisons else (None, obstacles[0])
    return ClaimResult(claim.text, claim.statistic, claim.higher, claim.lower, by_seed, tested, obstacle, on)


def compare(statistic: Statistic, higher: str, lower: str, runs: Runs, on: str) -> Comparison:
    """The statistic of two runs on a set: by default on their first one, or of probes on all that both have.

    Raises:
        UserError: a run failed, or there is nothing to compare, or the statistic is undefined.
    """
    if failed := [name for name in (higher, lower) if name not in runs]:
        raise UserError(f"{' and '.join(failed)} failed")
    if statistic.of_probes:
        a, b = (runs[name].probe_accuracies() for name in (higher, lower))
        sets = [name for name in a if name in b and on in ("", name)]
        if not sets:
            raise UserError("there is no linear probe of both")
        a, b = ([accuracies[name] for name in sets] for accuracies in (a, b))
    else:
        a, b = (runs[name].evaluation(on) for name in (higher, lower))
        if a is None or b is None:
            raise UserError("not both have an evaluation set")
        if a.class_names != b.class_names:
            raise UserError("the runs have different classes")
    comparison = statistic.compare(a, b)
    if np.isnan(comparison.a - comparison.b):
        raise UserError("it is undefined of one of them, as a correlation with equal values is")
    return comparison
