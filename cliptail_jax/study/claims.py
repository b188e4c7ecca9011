"""Hypotheses that one run exceeds another in a statistic, tested by bootstrap.

A claim in a study's config has a `text`, a `statistic`, the runs that are claimed to be `higher` and `lower`, and optionally
a `set`.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from cliptail_jax.errors import UserError
from cliptail_jax.metrics.correlation import Difference, difference
from cliptail_jax.study.statistics import STATISTICS, NotComparable
from cliptail_jax.study.trained_run import Runs


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
        for run in (claim.higher, claim.lower):
            if run not in eval_sets:
                raise UserError(f"claims.{key} names the run '{run}'; the study has {', '.join(eval_sets)}")
        STATISTICS[claim.statistic].check(key, claim, eval_sets, transfer)


def evaluate_claim(claim: ConfigDict, seeds: Sequence[Runs]) -> ClaimResult:
    """Test a claim by the bootstrap interval of the difference, over classes and, with several seeds, over seeds.

    A seed is left out if one of its two runs failed or its statistic is undefined.
    """
    on = claim.get("set", "")
    comparisons, obstacles = [], []
    for runs in seeds:
        try:
            if failed := [run for run in (claim.higher, claim.lower) if run not in runs]:
                raise NotComparable(f"{' and '.join(failed)} failed")
            comparison = STATISTICS[claim.statistic].compare(runs[claim.higher], runs[claim.lower], on)
            if np.isnan(comparison.a - comparison.b):
                raise NotComparable("it is undefined of one of them, as a correlation with equal values is")
            comparisons.append(comparison)
        except (NotComparable, UserError) as obstacle:
            obstacles.append(str(obstacle))
    by_seed = [(comparison.a, comparison.b) for comparison in comparisons]
    tested, obstacle = (difference(comparisons), "") if comparisons else (None, obstacles[0])
    return ClaimResult(claim.text, claim.statistic, claim.higher, claim.lower, by_seed, tested, obstacle, on)
