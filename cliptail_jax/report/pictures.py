"""A picture of groups of runs: their bias by accuracy, and their accuracy by class frequency."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.report.odds import draw_odds, label_odds
from cliptail_jax.report.style import add_grid, legend_below, mark_no_bias, styles
from cliptail_jax.results.group import RunGroup

# The place, title and axis of each measure.
PANELS = {
    "odds_acc": ("A", "accuracy (odds_acc), with paths", "log-odds per decade"),
    "slope_pred": ("B", "predictions (slope_pred), with paths", "decades per decade"),
    "corr_acc": ("C", "accuracy (corr_acc)", "Spearman correlation"),
    "corr_pred": ("D", "predictions (corr_pred)", "Spearman correlation"),
}

PATHS = ("odds_acc", "slope_pred")  # with lines through the evaluations during the training


def draw_runs(groups: Mapping[str, RunGroup], title: str) -> Figure:
    """Slopes and correlations against accuracy, and log-odds of being right by class frequency, of groups of runs by name.

    All groups must have been evaluated.
    """
    names_below = max(0, math.ceil(len(groups) / 4) - 2)  # rows of the legend, for which there is no space yet
    figure = Figure(figsize=(9.6, 5.2 + 0.2 * names_below), layout="constrained")
    panels = figure.subplot_mosaic("ABE;CDE", width_ratios=(1, 1, 1.3))
    panels["D"].sharey(panels["C"])
    by_frequency = panels["E"]
    looks = styles({name: group.label for name, group in groups.items()})
    for name, group in groups.items():
        for key, (place, *_) in PANELS.items():
            draw_estimate(panels[place], group.mean("top1"), group.bias[key], looks[name])
            if key in PATHS and (path := group.path(key)):
                panels[place].plot(*zip(*path), color=looks[name]["color"], linewidth=1, alpha=0.5, zorder=1)
        draw_odds(by_frequency, *group.by_class, group.odds_line, looks[name], group.label)
    for place, of, unit in PANELS.values():
        axes = panels[place]
        axes.set_title(of, fontsize=10)
        mark_no_bias(axes)
        axes.set_ylabel(unit)
        axes.margins(x=0.15)
    for place in "CD":  # the axis of the panel above, too
        panels[place].set_xlabel("top-1 accuracy (%)")
    label_odds(by_frequency, np.concatenate([group.by_class[0] for group in groups.values()]))
    for axes in panels.values():
        add_grid(axes)
    figure.suptitle(title, fontsize=12)
    legend_below(figure)
    return figure


def draw_estimate(axes: Axes, top1: float, estimate: Estimate, look: Mapping[str, Any]) -> None:
    """A marker at (top-1, value) with the interval, if they are defined."""
    if np.isnan(top1 + estimate.value):
        return
    error = [[max(estimate.value - estimate.low, 0)], [max(estimate.high - estimate.value, 0)]]
    axes.errorbar(top1, estimate.value, error, **{**look, "linestyle": ""}, markersize=8, capsize=3)
