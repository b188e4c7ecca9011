"""The figure of a study's runs: how they follow class frequency against accuracy, and their accuracy from tail to head."""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.groups import group_means
from cliptail_jax.metrics.odds import TICKS, log_odds
from cliptail_jax.plotting.style import add_grid, legend_below, style
from cliptail_jax.results.group import RunGroup

GROUPS = 10
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
    for i, (name, group) in enumerate(groups.items()):
        for key, (place, *_) in PANELS.items():
            draw_estimate(panels[place], group.mean("top1"), group.bias[key], i)
            if key in PATHS and (path := group.path(key)):
                panels[place].plot(*zip(*path), color=style(i)["color"], linewidth=1, alpha=0.5, zorder=1)
        frequencies, accuracies = zip(*((e.frequency, e.accuracy) for e in group.evaluations))
        frequency, accuracy = group_means(np.concatenate(frequencies), np.concatenate(accuracies), GROUPS)
        by_frequency.plot(frequency, log_odds(accuracy), **style(i) | {"linestyle": ""}, markersize=6, label=name)
        draw_curve(by_frequency, group, np.concatenate(frequencies), i)
    for place, of, unit in PANELS.values():
        axes = panels[place]
        axes.set_title(of, fontsize=10)
        axes.axhline(0, color="grey", linewidth=0.8)
        axes.set_ylabel(unit)
        axes.margins(x=0.15)
    for place in "CD":  # the axis of the panel above, too
        panels[place].set_xlabel("top-1 accuracy (%)")
    by_frequency.set_title(f"accuracy of {GROUPS} groups of classes; | is f50", fontsize=10)
    bounds = by_frequency.get_ylim()  # which ticks would widen
    by_frequency.set_yticks(log_odds(np.array(TICKS) / 100), [f"{tick:g}" for tick in TICKS])
    by_frequency.set_ylim(bounds)
    by_frequency.set_xscale("symlog", linthresh=1, linscale=0.3)
    frequencies = np.concatenate([e.frequency for group in groups.values() for e in group.evaluations])
    by_frequency.set_xlim(frequencies.min() / 2, 1.5 * frequencies.max())
    by_frequency.xaxis.set_major_locator(FixedLocator(ticks(frequencies.min(), frequencies.max())))
    by_frequency.xaxis.set_minor_locator(NullLocator())
    by_frequency.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    by_frequency.set_xlabel("class frequency (group mean)")
    by_frequency.set_ylabel("accuracy (%), on an axis of log-odds")
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


def draw_curve(axes: Axes, group: RunGroup, frequency: Int[np.ndarray, " class"], number: int) -> None:
    """The regression line of a group, and a mark where it is at 50 %, if f50 is defined."""
    at_one, per_decade = group.odds_line
    if np.isnan(per_decade):
        return
    x = np.geomspace(max(frequency.min(), 1), frequency.max())
    share = 1 / (1 + np.exp(-at_one - per_decade * np.log10(x)))
    axes.plot(x, log_odds(share), **style(number) | {"marker": ""})
    if np.isfinite(group.value("f50")):
        axes.plot(10 ** (-at_one / per_decade), 0, "|", color=style(number)["color"], markersize=16, markeredgewidth=2)


def ticks(least: int, most: int) -> list[int]:
    """Round numbers on a logarithmic axis: 1, 2, 5, 10, ... or, over more than two decades, 1, 10, 100, ..."""
    decades = [10**d for d in range(len(str(most)))]
    numbers = decades if most > 100 * max(least, 1) else [m * d for d in decades for m in (1, 2, 5)]
    return [n for n in (0, *numbers) if least <= n <= most]
