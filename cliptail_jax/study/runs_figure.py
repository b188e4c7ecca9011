"""The figure of a study's runs: how they follow class frequency against accuracy, and their accuracy from tail to head."""

import math
from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.groups import group_means
from cliptail_jax.plotting.style import add_grid, legend_below, style
from cliptail_jax.results.group import RunGroup

GROUPS = 10
# The place, title and axis of each measure.
PANELS = {
    "slope_acc": ("A", "accuracy (slope_acc)", "points per decade"),
    "slope_pred": ("B", "predictions (slope_pred)", "decades per decade"),
    "corr_acc": ("C", "accuracy (corr_acc)", "Spearman correlation"),
    "corr_pred": ("D", "predictions (corr_pred)", "Spearman correlation"),
}


def draw_runs(groups: Mapping[str, RunGroup], title: str) -> Figure:
    """Slopes and correlations against accuracy, and accuracy by class frequency, of groups of runs by name.

    All groups must have been evaluated.
    """
    names_below = max(0, math.ceil(len(groups) / 4) - 2)  # rows of the legend, for which there is no space yet
    figure = Figure(figsize=(9.6, 5.2 + 0.2 * names_below), layout="constrained")
    panels = figure.subplot_mosaic("ABE;CDE", width_ratios=(1, 1, 1.3))
    panels["D"].sharey(panels["C"])
    by_frequency = panels["E"]
    for i, (name, group) in enumerate(groups.items()):
        for key, (place, *_) in PANELS.items():
            draw_estimate(panels[place], group.mean("top1"), group.bias[key], i)
        frequencies, accuracies = zip(*((e.frequency, e.accuracy) for e in group.evaluations))
        frequency, accuracy = group_means(np.concatenate(frequencies), np.concatenate(accuracies), GROUPS)
        by_frequency.plot(frequency, 100 * accuracy, **style(i), markersize=6, label=name)
    for place, of, unit in PANELS.values():
        axes = panels[place]
        axes.set_title(of, fontsize=10)
        axes.axhline(0, color="grey", linewidth=0.8)
        axes.set_ylabel(unit)
        axes.margins(x=0.15)
    for place in "CD":  # the axis of the panel above, too
        panels[place].set_xlabel("top-1 accuracy (%)")
    by_frequency.set_title(f"accuracy of {GROUPS} groups of classes", fontsize=10)
    by_frequency.set_xscale("symlog", linthresh=1, linscale=0.3)
    frequencies = np.concatenate([e.frequency for group in groups.values() for e in group.evaluations])
    by_frequency.xaxis.set_major_locator(FixedLocator(ticks(frequencies.min(), frequencies.max())))
    by_frequency.xaxis.set_minor_locator(NullLocator())
    by_frequency.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    by_frequency.set_xlabel("class frequency (group mean)")
    by_frequency.set_ylabel("accuracy (%)")
    for axes in panels.values():
        add_grid(axes)
    figure.suptitle(title, fontsize=12)
    legend_below(figure)
    return figure


def draw_estimate(axes: Axes, top1: float, estimate: Estimate, number: int) -> None:
    """A marker at (top-1, value) with the interval, if they are defined."""
    if np.isnan(top1 + estimate.value):
        return
    error = [[max(estimate.value - estimate.low, 0)], [max(estimate.high - estimate.value, 0)]]
    axes.errorbar(top1, estimate.value, error, **{**style(number), "linestyle": ""}, markersize=8, capsize=3)


def ticks(least: int, most: int) -> list[int]:
    """Round numbers on a logarithmic axis: 1, 2, 5, 10, ... or, over more than two decades, 1, 10, 100, ..."""
    decades = [10**d for d in range(len(str(most)))]
    numbers = decades if most > 100 * max(least, 1) else [m * d for d in decades for m in (1, 2, 5)]
    return [n for n in (0, *numbers) if least <= n <= most]
