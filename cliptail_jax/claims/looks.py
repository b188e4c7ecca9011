"""Tests the claims of a study that adds pairs until they are decided: after each pair, at the level of this look."""

import dataclasses
from collections.abc import Mapping, Sequence

from cliptail_jax.claims.testing import evaluate_claims
from cliptail_jax.claims.verdicts import CONTRADICTED, NO_EFFECT, SUPPORTED, ClaimResult, correct_for_number
from cliptail_jax.metrics.looks import FIRST, Look
from cliptail_jax.results.claims import Change, Claim
from cliptail_jax.results.study import Replicate

DECIDED = (SUPPORTED, CONTRADICTED, NO_EFFECT)


def evaluate_in_looks(
    claims: Mapping[str, Claim], replicates: Sequence[Replicate], changes: Mapping[str, Change], max_pairs: int
) -> dict[str, ClaimResult]:
    """The tests of claims by key, each at the first look that decides it, or else at the last one.

    A look depends only on the first pairs, so it stays the same when the claims are tested again. A pair counts for a claim
    only if the claim's runs in it are comparable, so not if one of them failed.

    Args:
        replicates: the seeds or pairs so far, at most `max_pairs`.
        max_pairs: their largest number, which sets the levels of looks.
    """
    results: dict[str, ClaimResult] = {}
    for number in range(1, len(replicates) + 1):
        for key, result in evaluate_claims(claims, replicates[:number], changes).items():
            pairs, last = len(result.by_seed), results.get(key)
            if last and (last.verdict in DECIDED or pairs == len(last.by_seed)):
                continue
            if pairs >= FIRST:
                results[key] = dataclasses.replace(result, look=Look(pairs, max_pairs))
            else:
                obstacle = result.obstacle or f"the first look is after {FIRST} pairs or seeds"
                results[key] = dataclasses.replace(result, difference=None, obstacle=obstacle)
    return dict(zip(results, correct_for_number([*results.values()])))
