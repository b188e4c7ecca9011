"""Groups of runs along a quantity that differs between runs: a panel for each measure, a line for each group."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from matplotlib.transforms import ScaledTranslation

from cliptail_jax.figures.parts.sheet import Entry
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.measures import label_of
from cliptail_jax.report.style import add_grid, legend_below, styles

UPRIGHT_WORDS = 3  # more words under an axis are rotated
# Numbers under an axis have ticks of their own, unless there are more, or two are closer, as a share of the axis.
MAX_TICKS, MIN_GAP = 8, 0.1
MAX_MAGNITUDE = 1e100  # of a number on an axis: the limits of an axis with much larger numbers overflow


def draw_along(entries: Sequence[Entry], measures: Sequence[str], axis: str, logarithmic: bool) -> Figure:
    """A panel for each measure, with a row of panels for each name in the sheet's column `axis`.

    Runs without x are dashed lines across the panel.

    Args:
        entries: the runs.
        measures: names of numbers in summary.jsonl.
        axis: the label of the x axis for sheets without the column `axis`.
        logarithmic: the scale of x, where x are numbers.
    """
    names = list(dict.fromkeys(entry["axis"] or axis for entry in entries))
    figure = Figure(figsize=(3.1 * len(measures) + 0.4, 3.0 * len(names) + 0.8), layout="constrained")
    panels = figure.subplots(len(names), len(measures), squeeze=False, sharey="col")
    looks = styles(entry["group"] for entry in entries)
    for row, name in zip(panels, names):
        axis_entries = [entry for entry in entries if (entry["axis"] or axis) == name]
        for axes, measure in zip(row, measures):
            values = [(entry, entry.measure(measure)) for entry in axis_entries]
            draw_lines(axes, values, looks, logarithmic)
            axes.set_xlabel(name)
            axes.set_ylabel(label_of(measure), fontsize=9)
    legend_below(figure)
    return figure


def draw_lines(
    axes: Axes, values: Sequence[tuple[Entry, Estimate]], looks: Mapping[str, Mapping[str, Any]], logarithmic: bool
) -> None:
    """Draw each group's points with their intervals, and a line through the means of the points with the same x."""
    pairs = [(entry, measure) for entry, measure in values if entry["x"]]
    x_of, words = places([entry for entry, _ in pairs], logarithmic)
    for number, (group, look) in enumerate(looks.items()):
        points = [(x_of[entry["x"]], measure) for entry, measure in pairs if entry["group"] == group]
        if points:
            draw_group(axes, points, look, group, offset(number, len(looks)))
    for entry, measure in values:
        if not entry["x"]:
            look = looks[entry["group"]]
            axes.axhline(measure.value, color=look["color"], linestyle="--", linewidth=1.2, label=entry["group"])
    if words:
        rotation = dict(rotation=30, ha="right", rotation_mode="anchor") if len(words) > UPRIGHT_WORDS else {}
        axes.set_xticks(range(len(words)), [textwrap.fill(word, 12) for word in words], fontsize=8, **rotation)
        axes.margins(x=0.2)
    elif x_of:
        numbers = sorted(x_of.values())
        if logarithmic:
            axes.set_xscale("log")
        if len(numbers) <= MAX_TICKS and closest(np.log(numbers) if logarithmic else np.array(numbers)) > MIN_GAP:
            axes.set_xticks(numbers, [short(x) for x in numbers])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="x", labelsize=8)
    if not words:
        axes.margins(x=0.08)
    add_grid(axes)


def draw_group(
    axes: Axes, points: Sequence[tuple[float, Estimate]], look: Mapping[str, Any], name: str, shift: float
) -> None:
    """Draw a group, shifted by `shift` points so that its intervals do not cover those of other groups."""
    x, y = [x for x, _ in points], [measure.value for _, measure in points]
    lines = axes.plot(*line_of(points), color=look["color"], linestyle=look["linestyle"], linewidth=1.5)
    lines += axes.plot(x, y, marker=look["marker"], linestyle="", color=look["color"], markersize=6)
    for x, measure in points:
        if not math.isnan(measure.low):
            lines += axes.plot([x, x], [measure.low, measure.high], color=look["color"], linewidth=1, alpha=0.5)
    for line in lines:  # after the axes have included its data in their limits
        line.set_transform(axes.transData + ScaledTranslation(shift / 72, 0, axes.figure.dpi_scale_trans))
    axes.plot([], [], **look, markersize=6, label=name)


def offset(number: int, groups: int) -> float:
    """The shift of a group, in points."""
    return 2.5 * (number - (groups - 1) / 2)


def line_of(points: Sequence[tuple[float, Estimate]]) -> tuple[list[float], list[float]]:
    """The x in ascending order, and the mean of the defined values at each."""
    values: dict[float, list[float]] = {}
    for x, measure in points:
        if not math.isnan(measure.value):
            values.setdefault(x, []).append(measure.value)
    xs = sorted(values)
    return xs, [float(np.mean(values[x])) for x in xs]


def places(entries: Sequence[Entry], logarithmic: bool) -> tuple[dict[str, float], list[str]]:
    """The position of each x: the number itself or, unless all are numbers, its rank in the sheet; and then the words.

    Raises UserError if a number has no place on the axis.
    """
    xs = list(dict.fromkeys(entry["x"] for entry in entries))
    try:
        numbers = {x: float(x.replace(",", "")) for x in xs}
    except ValueError:
        return {x: float(place) for place, x in enumerate(xs)}, xs
    low, axis = (1 / MAX_MAGNITUDE, "a logarithmic axis") if logarithmic else (-MAX_MAGNITUDE, "the axis")
    for entry in entries:
        if not low <= numbers[entry["x"]] <= MAX_MAGNITUDE:  # nan is not either
            raise UserError(
                f"{entry.location}: x is {entry['x']}; on {axis} it is a number from {low:g} to {MAX_MAGNITUDE:g}, or - for a dashed "
                "line"
            )
    return numbers, []


def closest(numbers: Float[np.ndarray, " x"]) -> float:
    """The smallest gap between ascending numbers, as a share of their range."""
    return float(np.min(np.diff(numbers), initial=np.inf) / (np.ptp(numbers) or 1))


def short(number: float) -> str:
    """The number in three digits, with k for thousands and M for millions."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"
