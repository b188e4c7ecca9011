"""Plots by class frequency as SVG, which the page shows until its script has drawn those of Bokeh, and without scripts."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from cliptail_jax.report.comparison import ComparedGroup
from cliptail_jax.report.odds import ticks

WIDTH, HEIGHT, EDGE, GAP = 560, 400, 40, 12  # EDGE: left and below, with the numbers of the axes

Points = tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]


class Curve(NamedTuple):
    """A kind of runs, the means of its groups of classes, and its line; x is class frequency."""

    kind: ComparedGroup
    means: Points
    line: Points


class Preview(NamedTuple):
    """A plot in the coordinates of its SVG: ticks with their numbers, and by kind its markers and the path of its line."""

    x_ticks: Sequence[tuple[float, str]]
    y_ticks: Sequence[tuple[float, str]]
    curves: Sequence[tuple[ComparedGroup, Sequence[tuple[float, float]], str]]
    width: int = WIDTH
    height: int = HEIGHT
    edge: int = EDGE


def preview(curves: Sequence[Curve], y_ticks: Mapping[float, str]) -> Preview:
    """Scale curves with a logarithmic x axis. `y_ticks` are the numbers at places of y; those outside of the data are left out."""
    log_x = np.concatenate([np.log10(x) for curve in curves for x in (curve.means[0], curve.line[0])])
    y = np.concatenate([values for curve in curves for values in (curve.means[1], curve.line[1])])
    y = y[np.isfinite(y)]
    x_low, x_high, y_low, y_high = log_x.min(), log_x.max(), y.min(), y.max()

    def places(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
        """The places of points, without those at no finite y: of no predictions, or of an undefined regression."""
        x, y = x[np.isfinite(y)], y[np.isfinite(y)]
        across = EDGE + GAP + (WIDTH - EDGE - 2 * GAP) * (x - x_low) / max(x_high - x_low, 1e-9)
        down = GAP + (HEIGHT - EDGE - 2 * GAP) * (y_high - y) / max(y_high - y_low, 1e-9)
        return [*zip(across.round(1).tolist(), down.round(1).tolist())]

    numbers = np.array(ticks(math.ceil(round(10**x_low, 3)), math.floor(round(10**x_high, 3))))
    x_ticks = [(place, f"{number:,}") for (place, _), number in zip(places(np.log10(numbers), numbers), numbers)]
    values = [value for value in y_ticks if y_low <= value <= y_high]
    y_ticks = [(place, y_ticks[value]) for (_, place), value in zip(places(np.array(values), np.array(values)), values)]
    shown_curves = []
    for kind, means, line in curves:
        points = [f"{x} {y}" for x, y in places(np.log10(line[0]), line[1])]
        path = "M" * bool(points) + " L".join(points)
        shown_curves.append((kind, places(np.log10(means[0]), means[1]), path))
    return Preview(x_ticks, y_ticks, shown_curves)
