"""Tests all claims of a study, on its finished runs."""

from collections.abc import Sequence

from cliptail_jax.claims.borrowed import borrow_variances
from cliptail_jax.claims.looks import evaluate_in_looks
from cliptail_jax.claims.testing import evaluate_claims
from cliptail_jax.claims.verdicts import ClaimResult
from cliptail_jax.results.directory import Contents
from cliptail_jax.results.study import Replicate, Study, by_replicate


def judge(contents: Contents) -> dict[str, ClaimResult]:
    """The tests of the claims of a directory's study by key, on its finished runs; {} without a study.

    Example:
        verdicts = {key: result.verdict for key, result in judge(read_directory(Path("runs/quickstart"))).items()}
    """
    return evaluate_study(contents.study, by_replicate(contents.study, contents.runs)) if contents.study else {}


def evaluate_study(study: Study, replicates: Sequence[Replicate]) -> dict[str, ClaimResult]:
    """The tests of a study's claims by key; in looks, if the study adds pairs until claims are decided."""
    if study.max_replicates:
        return evaluate_in_looks(study.claims, replicates, study.changes, study.max_replicates)
    borrowed = borrow_variances(study.variances_from) if study.variances_from else None
    return evaluate_claims(study.claims, replicates, study.changes, borrowed)
