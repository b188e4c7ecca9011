"""Tests the claims of a study that adds pairs until they are decided: after each pair, at the level of this look."""

import dataclasses
from collections.abc import Mapping, Sequence

from cliptail_jax.claims.testing import evaluate_claims
from cliptail_jax.claims.verdicts import CONTRADICTED, NO_EFFECT, SUPPORTED, ClaimResult, correct_for_number
from cliptail_jax.metrics.looks import FIRST, Look
from cliptail_jax.results.claims import Change, Claim
from cliptail_jax.results.directory import Contents
from cliptail_jax.results.study import Replicate, Study, by_replicate

DECIDED = (SUPPORTED, CONTRADICTED, NO_EFFECT)


def judge(contents: Contents) -> dict[str, ClaimResult]:
    """The tests of the claims of a directory's study by key, on the runs that have finished; {} without a study."""
    return evaluate_study(contents.study, by_replicate(contents.study, contents.runs)) if contents.study else {}


def evaluate_study(study: Study, replicates: Sequence[Replicate]) -> dict[str, ClaimResult]:
    """The tests of a study's claims by key: in looks, if it adds pairs until claims are decided."""
    if study.most:
        return evaluate_in_looks(study.claims, replicates, study.changes, study.most)
    return evaluate_claims(study.claims, replicates, study.changes, study.borrowed)


def evaluate_in_looks(
    claims: Mapping[str, Claim], replicates: Sequence[Replicate], changes: Mapping[str, Change], most: int
) -> dict[str, ClaimResult]:
    """The tests of claims by key, each at the first look that decides it, or else at the last one.

    A look depends on the first pairs alone, so it stays the same whenever the claims are tested again. For a claim, a pair
    counts only if its runs can be compared in it: not if one has failed.

    Args:
        replicates: the seeds or pairs so far, at most `most`.
        most: their largest number, which sets the levels of looks.
    """
    found: dict[str, ClaimResult] = {}
    for pairs in range(1, len(replicates) + 1):
        for key, tested in evaluate_claims(claims, replicates[:pairs], changes).items():
            compared, before = len(tested.by_seed), found.get(key)
            if before and (before.verdict in DECIDED or compared == len(before.by_seed)):
                continue
            if compared >= FIRST:
                found[key] = dataclasses.replace(tested, look=Look(compared, most))
            else:
                obstacle = tested.obstacle or f"the first look is after {FIRST} pairs or seeds"
                found[key] = dataclasses.replace(tested, difference=None, obstacle=obstacle)
    return dict(zip(found, correct_for_number([*found.values()])))
