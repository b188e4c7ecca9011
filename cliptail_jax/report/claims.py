"""The claims of a study as a forest plot: a row for each, with its difference and interval on the axis of its unit."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cliptail_jax.report.read import matches
from cliptail_jax.runs.tables import UNDEFINED, format_interval

WIDTH = 240  # of the axis, in the units of its SVG
EDGE = 8  # room for markers at both ends
# A shape for each verdict, as the path of an SVG about the origin; without a shape, a circle.
SHAPES = {
    "supported": "M-5 -5L6 0L-5 5Z",
    "contradicted": "M5 -5L-6 0L5 5Z",
    "no effect": "M0 -6L6 0L0 6L-6 0Z",
    "inconclusive": "M-4 -4H4V4H-4Z",
}


class Row(NamedTuple):
    """A claim; places are in the units of the SVG, None for one that was not tested.

    Attributes:
        interval: value, low and high of the difference, and `difference` as text; None and '–' of one that was not tested.
        obstacle: why it was not tested.
        mark: '†' if it was added or changed after the study's first run, '‡' if runs that it compares were.
        seeds: the places of the differences of seeds or pairs, if there are several.
    """

    number: int
    text: str
    higher: str
    lower: str
    statistic: str
    difference: str
    interval: tuple[float, float, float] | None
    obstacle: str
    margin: float
    verdict: str
    corrected: str
    mark: str
    shape: str
    at: tuple[float, float, float] | None
    margin_at: tuple[float, float]
    seeds: Sequence[float]


class Group(NamedTuple):
    """The claims of a unit, with the ticks of their axis and their places."""

    unit: str
    ticks: Sequence[tuple[str, float]]
    rows: Sequence[Row]


def groups_of(claims: Sequence[Mapping[str, Any]], runs: Sequence[str]) -> list[Group]:
    """The claims of report.json on the chosen runs, by unit."""
    by_unit: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for number, claim in enumerate(claims, 1):
        if matches(claim["higher"], runs) and matches(claim["lower"], runs):
            by_unit.setdefault(claim.get("unit") or claim["statistic"], []).append((number, claim))
    return [group_of(unit, numbered) for unit, numbered in by_unit.items()]


def columns_of(groups: Sequence[Group]) -> tuple[list[str], list[list[Any]]]:
    """The claims as a header and rows for programs."""
    header = ["claim", "text", "higher", "lower", "statistic", "unit", "difference", "low", "high", "margin", "verdict"]
    rows = []
    for group in groups:
        for row in group.rows:
            about = [row.number, row.text, row.higher, row.lower, row.statistic, group.unit]
            rows.append([*about, *(row.interval or [None] * 3), row.margin, row.verdict, row.corrected, row.obstacle])
    return [*header, "corrected", "obstacle"], rows


def group_of(unit: str, claims: Sequence[tuple[int, Mapping[str, Any]]]) -> Group:
    tested = [claim for _, claim in claims if claim["difference"]]
    ends = [0.0] + [claim["difference"][end] for claim in tested for end in ("low", "high")]
    ends += [side * claim["margin"] for claim in tested for side in (-1, 1)]
    low, high = min(ends), max(ends)
    span = (high - low) or 1.0

    def place(x: float) -> float:
        return round(EDGE + (WIDTH - 2 * EDGE) * (min(max(x, low), high) - low) / span, 1)

    step = 10 ** np.floor(np.log10(span / 2))
    step *= next((m for m in (1, 2, 5) if span / (m * step) <= 5), 10)
    ticks = [k * step for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]
    return Group(unit, [(f"{tick:.6g}", place(tick)) for tick in ticks], [row_of(n, c, place) for n, c in claims])


def row_of(number: int, claim: Mapping[str, Any], place: Callable[[float], float]) -> Row:
    found, margin = claim["difference"], claim["margin"]
    digits = ".1f" if claim["statistic"] in ("slope_acc", "top1", "tail", "probe") else ".2f"
    interval, at, text, seeds = None, None, UNDEFINED, []
    if found:
        interval = found["value"], found["low"], found["high"]
        at = tuple(map(place, interval))
        text = format_interval(found["value"], (found["low"], found["high"]), digits)
        if len(claim["by_seed"]) > 1:
            seeds = [place(higher - lower) for higher, lower in claim["by_seed"] if None not in (higher, lower)]
    on = f" on {claim['on']}" if claim.get("on") else ""
    return Row(
        number,
        claim["text"],
        claim["higher"],
        claim["lower"],
        f"{claim['statistic']}{on}",
        text,
        interval,
        "" if found else claim["obstacle"] or "",
        margin,
        claim["verdict"],
        claim["corrected"],
        "†" if not claim.get("stated_before", True) else "‡" if claim.get("runs_changed") else "",
        SHAPES.get(claim["verdict"], ""),
        at,
        (place(-margin), place(margin)),
        seeds,
    )
