"""Pictures of results: runs by accuracy and class frequency, kinds of runs side by side, and claims."""

import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cliptail_jax.claims.verdicts import ClaimResult
from cliptail_jax.experiments.kinds import known_look
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.report.forest import VERDICTS, ClaimRow, forest
from cliptail_jax.report.layout import Cell, Row, Table
from cliptail_jax.report.odds import draw_odds, label_odds
from cliptail_jax.report.style import add_grid, add_title, legend_below, mark_no_bias, style, styles
from cliptail_jax.results.group import RunGroup

# The place, title and axis of each measure.
RUN_PANELS = {
    "odds_acc": ("A", "accuracy (odds_acc)", "log-odds per decade"),
    "slope_pred": ("B", "predictions (slope_pred)", "decades per decade"),
    "corr_acc": ("C", "accuracy (corr_acc)", "Spearman correlation"),
    "corr_pred": ("D", "predictions (corr_pred)", "Spearman correlation"),
}

PATHS = ("odds_acc", "slope_pred")  # with lines through the evaluations during the training


def draw_runs(groups: Mapping[str, RunGroup], title: str) -> Figure:
    """Slopes and correlations against accuracy, and log-odds of being right by class frequency, of groups of runs by name.

    All groups must have been evaluated.
    """
    legend_rows = max(0, math.ceil(len(groups) / 4) - 2)  # rows of the legend, for which there is no space yet
    figure = Figure(figsize=(9.6, 5.2 + 0.2 * legend_rows), layout="constrained")
    panels = figure.subplot_mosaic("ABE;CDE", width_ratios=(1, 1, 1.3))
    panels["D"].sharey(panels["C"])
    by_frequency = panels["E"]
    looks = styles({name: group.label for name, group in groups.items()})
    for name, group in groups.items():
        for key, (place, *_) in RUN_PANELS.items():
            draw_estimate(panels[place], group.mean("top1"), group.estimates[key], looks[name])
        draw_odds(by_frequency, *group.by_class, group.odds_line, looks[name], group.label)
    for key, (place, heading, unit) in RUN_PANELS.items():
        axes, paths = panels[place], paths_of(groups, key)
        for name, path in paths.items():
            axes.plot(*zip(*path), color=looks[name]["color"], linewidth=1, alpha=0.5, zorder=1)
        axes.set_title(heading + ",\nwith paths" * bool(paths), fontsize=10)
        mark_no_bias(axes)
        axes.set_ylabel(unit)
        axes.margins(x=0.15)
    for place in "CD":  # the axis of the panel above, too
        panels[place].set_xlabel("top-1 accuracy (%)")
    label_odds(by_frequency, np.concatenate([group.by_class[0] for group in groups.values()]))
    for axes in panels.values():
        add_grid(axes)
    add_title(figure, title)
    legend_below(figure)
    return figure


def paths_of(groups: Mapping[str, RunGroup], key: str) -> dict[str, list[tuple[float, float]]]:
    """The paths of groups that were evaluated several times during the training, by name; none of a measure beyond `PATHS`."""
    if key not in PATHS:
        return {}
    paths = {name: group.path(key) for name, group in groups.items()}
    return {name: path for name, path in paths.items() if len(path) > 1}


def draw_estimate(axes: Axes, top1: float, estimate: Estimate, look: Mapping[str, Any]) -> None:
    """A marker at (top-1, value) with the interval, if they are defined."""
    if np.isnan(top1 + estimate.value):
        return
    error = [[max(estimate.value - estimate.low, 0)], [max(estimate.high - estimate.value, 0)]]
    axes.errorbar(top1, estimate.value, error, **{**look, "linestyle": ""}, markersize=8, capsize=3)


# The panels of a picture of runs: the measure, its title and the label of its axis.
KIND_PANELS = {
    "odds_acc": ("bias in accuracy (odds_acc)", "log-odds of being right per decade"),
    "slope_pred": ("bias in predictions (slope_pred)", "decades of predictions per decade"),
    "top1": ("accuracy", "top-1 accuracy (%)"),
}
DOT = {"color": "0.35", "marker": "o"}  # of a kind that has no look of its own
LINE = 0.17  # inches of a line of text


def draw_kinds(table: Table, path: Sequence[str], title: str) -> Figure:
    """A row for each row of a table of runs, and a panel for each of the `KIND_PANELS`, with intervals.

    Runs on the path are filled, and are the first rows, in its order, with a line from each to the next; others are hollow.
    Without a path, all are filled. Kinds without a look of their own are dots, which their names distinguish.
    """
    row_of = {row.name: row for row in table.rows}
    along = [name for name in path if name in row_of]
    names = [*along, *(name for name in row_of if name not in along)]
    height = 1.3 + 1.5 * LINE * len(names)
    figure = Figure(figsize=(9.6, height), layout="constrained")
    panels = figure.subplots(1, len(KIND_PANELS), sharey=True, width_ratios=(1.4, 1, 1))
    for axes, (key, (heading, unit)) in zip(panels, KIND_PANELS.items()):
        cells = {name: cell for name in names if is_finite(cell := row_of[name].cells.get(key))}
        steps = [(cells[name].value, names.index(name)) for name in along if name in cells]
        if steps:
            axes.plot(*zip(*steps), color="0.7", linewidth=1.2, zorder=1)
        for name, cell in cells.items():
            number, place = known_look(name, row_of[name].label), names.index(name)
            look = DOT if number is None else style(number)
            if cell.bounds:
                axes.plot(cell.bounds, [place] * 2, color=look["color"], linewidth=1.5, alpha=0.7)
            face = look["color"] if name in along or not along else "white"
            axes.plot(cell.value, place, marker=look["marker"], color=look["color"], mfc=face, markersize=7)
        if along and len(along) < len(names):
            axes.axhline(len(along) - 0.5, color="0.6", linewidth=0.8, linestyle=":")
        if key != "top1":
            mark_no_bias(axes, upright=True)
        axes.set_title(heading, fontsize=9)
        axes.set_xlabel(unit, fontsize=8)
        if axes is not panels[0]:
            axes.tick_params(left=False)
        add_grid(axes)
    panels[0].set_yticks(range(len(names)), [name_of(row_of[name]) for name in names], fontsize=9)
    panels[0].set_ylim(len(names) - 0.4, -0.9)  # with room for the label of no bias
    add_title(figure, title)
    return figure


def name_of(row: Row) -> str:
    return textwrap.fill((row.label or row.name) + row.mark, 46)


def is_finite(cell: Cell | None) -> bool:
    return bool(cell) and not isinstance(cell.value, str | None) and math.isfinite(cell.value)


def draw_claims(claims: Mapping[str, Sequence[ClaimResult]], title: str) -> Figure:
    """A row of panels for each unit, and a row in it for each sentence that is claimed. All claims must have been tested.

    `claims` are by the heading of their column of panels; '' is that of a single column.
    """
    groups = forest(claims)
    sentences = [sentences_of(group.rows) for group in groups]
    heights = [0.3 + LINE * sum(2 + text.count("\n") for text in {*row_panels.values()}) for row_panels in sentences]
    width = 10 if len(claims) == 1 else 4 + 2.4 * len(claims)
    figure = Figure(figsize=(width, 1.6 + sum(heights) + 0.3 * len(groups)), layout="constrained")
    panels = figure.subplots(len(groups), len(claims), height_ratios=heights, squeeze=False, sharex="row", sharey="row")
    for row_panels, group, texts in zip(panels, groups, sentences):
        labels = [*dict.fromkeys(texts.values())]
        for axes, heading in zip(row_panels, claims):
            rows = [row for row in group.rows if row.study == heading]
            draw_rows(axes, [(labels.index(texts[row.number]), row) for row in rows])
            if group is groups[0]:
                axes.set_title(heading, fontsize=10)
            if axes is not row_panels[0]:
                axes.tick_params(labelleft=False, left=False)
        row_panels[0].set_yticks(range(len(labels)), labels, fontsize=8)
        row_panels[0].set_ylim(len(labels) - 0.4, -0.6)
        row_panels[len(claims) // 2].set_xlabel(f"difference of {group.unit}")
    add_title(figure, title)
    rows = [row for group in groups for row in group.rows]
    looks = [Line2D([], [], color=look.colour, marker=look.marker, label=name) for name, look in VERDICTS.items()]
    if any(row.seeds for row in rows):
        looks.append(Line2D([], [], color="black", marker="|", linestyle="", label="one seed or pair"))
    if any(row.claim.corrected != row.claim.verdict for row in rows):
        hollow = dict(color="black", marker="o", markerfacecolor="white", linestyle="")
        looks.append(Line2D([], [], **hollow, label="inconclusive if corrected for the number of claims"))
    if any(row.claim.margin for row in rows):
        looks.append(Patch(color="#eeeeee", label="margin: no effect"))
    figure.legend(
        handles=looks,
        loc="outside lower center",
        ncols=min(len(looks), math.ceil(width / 2)),
        frameon=False,
        fontsize=9,
    )
    return figure


def sentences_of(rows: Sequence[ClaimRow]) -> dict[int, str]:
    """The sentences of claims, by their numbers. Equal sentences are followed by the measure or the runs that distinguish them."""
    texts = Counter((row.study, row.claim.text) for row in rows)
    times = Counter((row.study, row.claim.text, row.claim.quantity) for row in rows)
    sentences = {}
    for row in rows:
        claim, key = row.claim, (row.study, row.claim.text)
        details = [claim.quantity] * (texts[key] > times[*key, claim.quantity])
        details += [claim.comparison] * (times[*key, claim.quantity] > 1)
        text = claim.text + f" ({'; '.join(details)})" * bool(details)
        sentences[row.number] = textwrap.fill(text, 56, break_on_hyphens=False)
    return sentences


def draw_rows(axes: Axes, rows: Sequence[tuple[int, ClaimRow]]) -> None:
    """Draw claims at their places."""
    for place, row in rows:
        look, (value, low, high) = VERDICTS[row.claim.verdict], row.interval
        axes.barh(place, 2 * row.claim.margin, left=-row.claim.margin, height=0.8, color="#eeeeee", zorder=0)
        axes.plot([low, high], [place, place], color=look.colour, linewidth=2)
        # Hollow where the verdict changes when it is corrected for the number of claims.
        face = look.colour if row.claim.corrected == row.claim.verdict else "white"
        axes.plot(value, place, color=look.colour, marker=look.marker, markersize=7, markerfacecolor=face)
        axes.plot(row.seeds, [place] * len(row.seeds), "k|", markersize=7)
    axes.axvline(0, color="black", linewidth=0.8)
    add_grid(axes)
