"""The results of claims, and their verdicts by the interval of the difference: alone, and corrected for their number."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

from cliptail_jax.config.renamed import RENAMED_IN_CLAIM, RENAMED_IN_LOOK, with_new_names
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json
from cliptail_jax.metrics.bootstrap import LEVEL, Estimate
from cliptail_jax.metrics.looks import Look
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.results.claims import Change, Claim

NOT_TESTED, INCONCLUSIVE, NO_EFFECT = "not tested", "inconclusive", "no effect"
SUPPORTED, CONTRADICTED = "supported", "contradicted"


@dataclasses.dataclass(frozen=True)
class ClaimResult(Claim):
    """The test of a claim.

    Attributes:
        by_seed: the statistics of `higher` and `lower` in each seed or mirrored pair.
        difference: the estimated difference; None if the claim could not be tested.
        obstacle: why the claim could not be tested.
        at_chance: whether the claim was not tested because a run is no better than chance.
        corrected: the verdict after the correction for the number of claims, by `correct_for_number`.
        change: the change of the claim after the first run, if any.
        look: the look at which the claim was tested, in a study that adds pairs until claims are decided.
        covers_seeds: whether the interval of the difference covers other seeds, too.
        borrowed: the published results that the variance between seeds is from; "" if it is from this study.
    """

    by_seed: Sequence[tuple[float, float]] = ()
    difference: Estimate | None = None
    obstacle: str = ""
    at_chance: bool = False
    corrected: str = ""
    change: Change = Change()
    look: Look | None = None
    covers_seeds: bool = False
    borrowed: str = ""

    @property
    def verdict(self) -> str:
        return self.verdict_at(self.level())

    @property
    def verdict_text(self) -> str:
        """The verdict and, where the correction changes it, the corrected one: 'supported (inconclusive when corrected)'."""
        return self.verdict + f" ({self.corrected} when corrected)" * (self.corrected not in ("", self.verdict))

    def level(self, errors: float = 1 - LEVEL) -> float:
        """The level of the interval at which the verdicts of all looks together are wrong with at most this probability."""
        return self.look.level(errors) if self.look else 1 - errors

    @property
    def interval(self) -> tuple[float, float, float] | None:
        """Value, low and high of the difference, at the level of its look; None for an untested claim."""
        if self.difference is None or not self.look:
            return self.difference and self.difference[:3]
        return (self.difference.value, *self.difference.interval(self.level()))

    def verdict_at(self, level: float) -> str:
        """The verdict by the interval of a level."""
        if self.difference is None:
            return f"{NOT_TESTED} (at chance)" if self.at_chance else NOT_TESTED
        return verdict_of(*self.difference.interval(level), self.margin, self.equal, self.threshold)

    @property
    def p_value(self) -> float:
        """1 − the highest level at which the verdict is the same.

        For "inconclusive", it is at least 0.05, or at least 1 − the level of the look.
        """
        p_values = [self.difference.p_value(bound) for bound in (-self.margin, self.margin)]
        if self.equal and abs(self.difference.value) > self.margin:
            return p_values[self.difference.value > 0]  # outside the margin: by the nearer bound
        if self.equal or self.verdict == NO_EFFECT:
            return max(p_values)
        return self.difference.p_value(self.threshold)


def verdict_of(low: float, high: float, margin: float = 0.0, equal: bool = False, bound: float = 0.0) -> str:
    """The verdict on a claim with these attributes by the interval of its difference.

    "no effect" if it lies within ± the margin; else "supported" if it lies above `bound`, "contradicted" if below, and
    "inconclusive" if it contains this number. A claim that runs are equal is "supported" if it lies within ± the margin,
    "contradicted" if it lies outside, and else "inconclusive".
    """
    is_within = -margin <= low and high <= margin
    if equal:
        is_outside = low > margin or high < -margin
        return SUPPORTED if is_within else CONTRADICTED if is_outside else INCONCLUSIVE
    if margin and is_within:
        return NO_EFFECT
    if low > bound:
        return SUPPORTED
    return CONTRADICTED if high < bound else INCONCLUSIVE


def claim_numbers(claim: ClaimResult) -> dict[str, Any]:
    """The content of report.json for a claim."""
    return dataclasses.asdict(claim) | {
        "change": claim.change._asdict(),
        "look": claim.look and claim.look._asdict(),
        "difference": claim.difference and claim.difference._asdict(),
        "verdict": claim.verdict,
        "p_value": claim.difference and claim.p_value,
        "unit": MEASURES[claim.statistic].unit,
    }


NEW_FIELDS = ("look", "covers_seeds", "borrowed", "threshold", "population")  # results of earlier versions lack these


class Report(TypedDict):
    """The claims in report.json."""

    claims: list[dict[str, Any]]


def read_claims(report: Path) -> dict[str, ClaimResult]:
    """The tests of claims in a study's report.json, by key. Raises UserError if it is damaged or from another program."""
    fields = dataclasses.fields(ClaimResult)
    try:
        claims = {
            c["key"]: {f.name: c.get(f.name, f.default) if f.name in NEW_FIELDS else c[f.name] for f in fields}
            for c in (with_new_names(claim, RENAMED_IN_CLAIM) for claim in read_json(report, Report)["claims"])
        }
    except KeyError as key:
        raise UserError(f"a claim in {report} has no field {key}: write the report again with --report") from None
    return {
        key: ClaimResult(
            **c
            | {
                "difference": _estimate(c["difference"]),
                "change": Change(**c["change"]),
                "look": c["look"] and Look(**with_new_names(c["look"], RENAMED_IN_LOOK)),
            }
        )
        for key, c in claims.items()
    }


def _estimate(numbers: dict[str, float | None] | None) -> Estimate | None:
    """An estimate from JSON, where infinite and undefined numbers are null. Degrees of freedom are never undefined."""
    if numbers is None:
        return None
    null_values = {"degrees": math.inf}
    return Estimate(
        **{part: null_values.get(part, math.nan) if number is None else number for part, number in numbers.items()}
    )


def correct_for_number(results: Sequence[ClaimResult]) -> list[ClaimResult]:
    """The results with verdicts that are all right with 95 % confidence, by the step-down procedure of Holm (1979).

    In the order of their p-values, the claim of rank k (from 0) of m keeps its verdict if the interval of the level
    1 − 0.05 / (m − k) has the same verdict; in a study with looks, that of the look's level with 0.05 / (m − k) errors over
    all looks. The first claim for which the verdicts differ, and all after it, are inconclusive.
    """
    indices = [i for i, result in enumerate(results) if result.difference is not None]
    verdicts = dict.fromkeys(indices, INCONCLUSIVE)
    # Relative to the errors that a look allows.
    for rank, i in enumerate(sorted(indices, key=lambda i: results[i].p_value / (1 - results[i].level()))):
        verdict = results[i].verdict_at(results[i].level((1 - LEVEL) / (len(indices) - rank)))
        if verdict != results[i].verdict:
            break
        verdicts[i] = verdict
    return [dataclasses.replace(result, corrected=verdicts.get(i, result.verdict)) for i, result in enumerate(results)]
