"""What a directory contains, with what its runs prove: the value that reports render."""

from collections.abc import Mapping
from typing import NamedTuple

from cliptail_jax.claims.best import BestRun, best_run
from cliptail_jax.claims.judge import judge
from cliptail_jax.claims.verdicts import ClaimResult
from cliptail_jax.results.directory import Contents
from cliptail_jax.results.study import by_replicate


class JudgedContents(NamedTuple):
    """The contents of a directory, and the tests on its study, if it has one.

    Attributes:
        claims: the tests of the study's claims, by key.
        best: the best run, if the study compares its runs with a baseline.
    """

    contents: Contents
    claims: Mapping[str, ClaimResult]
    best: BestRun | None


def judge_contents(contents: Contents, claims: Mapping[str, ClaimResult] | None = None) -> JudgedContents:
    """Contents with the tests on their runs. `claims` are the tests of the claims, if they have been made.

    Example:
        best = judge_contents(read_directory(Path("runs/remedies"))).best
    """
    claims = judge(contents) if claims is None else claims
    study = contents.study
    return JudgedContents(contents, claims, best_run(study, by_replicate(study, contents.runs)) if study else None)
