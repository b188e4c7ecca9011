"""Pictures of a study's report: the path that its runs are steps of, and its claims."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cliptail_jax.figures.parts.planes import place_labels
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.plotting.style import add_grid, legend_below, style
from cliptail_jax.report.forest import VERDICTS, ClaimRow, forest
from cliptail_jax.report.pictures import PATHS
from cliptail_jax.results.claims import ClaimResult
from cliptail_jax.results.group import RunGroup


def draw_path(groups: Mapping[str, RunGroup], path: Sequence[str], title: str) -> Figure:
    """A panel for each slope, against top-1: a marker for each group, and arrows along the path, in its order.

    Groups on the path are filled, and the others hollow.
    """
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    labels = {}
    for axes, key in zip(figure.subplots(1, 2), PATHS):
        places = {name: (group.mean("top1"), group.value(key)) for name, group in groups.items() if group.evaluations}
        for number, name in enumerate(places):
            draw_group(axes, groups[name], key, places[name], number, name, name in path)
        steps = [places[name] for name in path if name in places and np.isfinite(places[name]).all()]
        for start, end in zip(steps, steps[1:]):
            look = dict(arrowstyle="-|>", color="grey", shrinkA=6, shrinkB=6, alpha=0.8)
            axes.annotate("", end, start, arrowprops=look, annotation_clip=False)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xlabel("top-1 accuracy (%)")
        axes.set_ylabel(f"{MEASURES[key].unit} ({key})")
        axes.margins(0.1)
        add_grid(axes)
        labels[axes] = [(*at, name) for name, at in places.items() if np.isfinite(at).all()]
    figure.suptitle(title, fontsize=12)
    legend_below(figure, columns=6)
    figure.draw_without_rendering()  # labels are placed in the final layout
    for axes, points in labels.items():
        place_labels(axes, points)
    return figure


def draw_group(
    axes: Axes, group: RunGroup, key: str, at: tuple[float, float], number: int, name: str, filled: bool
) -> None:
    look, estimate = style(number), group.bias[key]
    axes.plot([at[0]] * 2, [estimate.low, estimate.high], color=look["color"], linewidth=1, alpha=0.5)
    face = look["color"] if filled else "white"
    axes.plot(*at, marker=look["marker"], linestyle="", color=look["color"], mfc=face, markersize=8, label=name)


def draw_claims(claims: Sequence[ClaimResult], title: str) -> Figure:
    """A panel for each unit, with a row for each claim. All must have been tested."""
    groups = forest({"": claims})
    numbers = [len(group.rows) for group in groups]
    figure = Figure(figsize=(10, 1.6 + 0.3 * sum(numbers) + 0.6 * len(groups)), layout="constrained")
    for axes, group in zip(figure.subplots(len(groups), 1, height_ratios=numbers, squeeze=False)[:, 0], groups):
        draw_rows(axes, group.rows)
        axes.set_xlabel(f"difference of {group.unit}")
    figure.suptitle(title, fontsize=12)
    rows = [row for group in groups for row in group.rows]
    looks = [Line2D([], [], color=look.colour, marker=look.marker, label=name) for name, look in VERDICTS.items()]
    if any(row.seeds for row in rows):
        looks.append(Line2D([], [], color="black", marker="|", linestyle="", label="one seed or pair"))
    if any(row.claim.corrected != row.claim.verdict for row in rows):
        hollow = dict(color="black", marker="o", markerfacecolor="white", linestyle="")
        looks.append(Line2D([], [], **hollow, label="inconclusive if corrected for the number of claims"))
    if any(row.claim.margin for row in rows):
        looks.append(Patch(color="#eeeeee", label="margin: no effect"))
    figure.legend(handles=looks, loc="outside lower center", ncols=min(len(looks), 5), frameon=False, fontsize=9)
    return figure


def draw_rows(axes: Axes, rows: Sequence[ClaimRow]) -> None:
    for place, row in enumerate(rows):
        look, (value, low, high) = VERDICTS[row.claim.verdict], row.interval
        axes.barh(place, 2 * row.claim.margin, left=-row.claim.margin, height=0.8, color="#eeeeee", zorder=0)
        axes.plot([low, high], [place, place], color=look.colour, linewidth=2)
        # Hollow where the verdict changes when it is corrected for the number of claims.
        face = look.colour if row.claim.corrected == row.claim.verdict else "white"
        axes.plot(value, place, color=look.colour, marker=look.marker, markersize=7, markerfacecolor=face)
        axes.plot(row.seeds, [place] * len(row.seeds), "k|", markersize=7)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [f"{row.claim.compared}: {row.claim.measured}" for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    add_grid(axes)
