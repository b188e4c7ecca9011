"""The layout of a forest plot of claims: a row for each, with its difference and interval on the axis of its unit.

The page draws it as SVG, and `cliptail_jax.report.pictures` with Matplotlib.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cliptail_jax.claims.verdicts import CONTRADICTED, INCONCLUSIVE, NO_EFFECT, SUPPORTED, ClaimResult
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.report.style import COLOURS
from cliptail_jax.results.directory import matches

WIDTH = 240  # of the axis in the units of its SVG
EDGE = 8  # of the axis: room for markers at both ends


class VerdictLook(NamedTuple):
    """Colour and marker of a verdict for Matplotlib, and the marker as the path of an SVG about the origin."""

    colour: str
    marker: str
    path: str


VERDICTS = {
    SUPPORTED: VerdictLook(COLOURS[0], ">", "M-5 -5L6 0L-5 5Z"),
    NO_EFFECT: VerdictLook(COLOURS[2], "D", "M0 -6L6 0L0 6L-6 0Z"),
    INCONCLUSIVE: VerdictLook("#777777", "s", "M-4 -4H4V4H-4Z"),
    CONTRADICTED: VerdictLook(COLOURS[1], "<", "M5 -5L-6 0L5 5Z"),
}


class ClaimRow(NamedTuple):
    """A claim.

    Attributes:
        study: the name of its study, if there are several.
    """

    number: int
    claim: ClaimResult
    study: str

    @property
    def interval(self) -> tuple[float, float, float] | None:
        """Value, low and high of the difference; None for an untested claim."""
        return self.claim.interval

    @property
    def seeds(self) -> list[float]:
        """The differences of seeds or pairs, if there are several."""
        by_seed = self.claim.by_seed if self.interval and not self.claim.reference else ()
        return [higher - lower for higher, lower in by_seed] if len(by_seed) > 1 else []

    @property
    def pair(self) -> list[str]:
        """The first two runs that it compares, as the page names them; one run if it is compared with a number."""
        names = [name for name in (self.claim.higher, self.claim.lower) if isinstance(name, str)]
        return ["/".join(filter(None, (self.study, name))) for name in names]


class Group(NamedTuple):
    """The claims of a unit, and the ends of its axis."""

    unit: str
    low: float
    high: float
    rows: Sequence[ClaimRow]

    @property
    def ticks(self) -> list[float]:
        """Round numbers on the axis."""
        span = self.high - self.low
        step = 10.0 ** math.floor(math.log10(span / 2))
        step *= next((m for m in (1, 2, 5) if span / (m * step) <= 5), 10)
        return [k * step for k in range(math.ceil(self.low / step), math.floor(self.high / step) + 1)]

    def place(self, x: float) -> float:
        """The position of a value on the axis of the SVG."""
        share = (min(max(x, self.low), self.high) - self.low) / (self.high - self.low)
        return round(EDGE + (WIDTH - 2 * EDGE) * share, 1)


def forest(claims: Mapping[str, Iterable[ClaimResult]], runs: Sequence[str] = ("*",)) -> list[Group]:
    """The claims on runs that match one of the patterns, by unit. `claims` are by the name of their study."""
    by_unit: dict[str, list[ClaimRow]] = {}
    pairs = [(study, claim) for study, study_claims in claims.items() for claim in study_claims]
    for number, (study, claim) in enumerate(pairs, 1):
        if all(matches(name, runs) for name in claim.runs):
            by_unit.setdefault(MEASURES[claim.statistic].unit, []).append(ClaimRow(number, claim, study))
    return [Group(unit, *ends_of(rows), rows) for unit, rows in by_unit.items()]


def ends_of(rows: Sequence[ClaimRow]) -> tuple[float, float]:
    """The ends of an axis for intervals and margins."""
    tested_rows = [row for row in rows if row.interval]
    bounds = (end for row in tested_rows for end in (*row.interval, row.claim.margin, -row.claim.margin))
    ends = [0.0, *filter(math.isfinite, bounds)]  # those of f50 may be infinite
    return min(ends), max(ends) if max(ends) > min(ends) else min(ends) + 1


def columns_of(groups: Sequence[Group]) -> tuple[list[str], list[list[Any]]]:
    """The claims as a header and rows for programs."""
    header = "claim study text higher lower minus statistic unit difference low high margin".split()
    rows = []
    for group in groups:
        for row in group.rows:
            claim, interval = row.claim, row.interval or [None] * 3
            runs = [claim.higher, claim.lower, " − ".join(map(str, claim.reference))]
            description = [row.number, row.study, claim.text, *runs, claim.quantity, group.unit]
            test = [*interval, claim.margin, claim.verdict, claim.corrected, claim.obstacle]
            rows.append([*description, *test, *claim.change])
    return [*header, "verdict", "corrected", "obstacle", "mark", "change"], rows
