"""The figure of a study's runs: their correlations against accuracy, and their accuracy from tail to head."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from cliptail_jax.plotting.style import add_grid, legend_below, style
from cliptail_jax.runs import FinishedRun

GROUPS = 10


def draw_runs(runs: Mapping[str, FinishedRun], title: str) -> Figure:
    """Correlations against accuracy, and accuracy by class frequency, of runs by name."""
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    by_accuracy, by_prediction, by_frequency = figure.subplots(1, 3)
    by_prediction.sharey(by_accuracy)
    for i, (name, run) in enumerate(runs.items()):
        draw_correlation(by_accuracy, run.summary, "corr_acc", style(i))
        draw_correlation(by_prediction, run.summary, "corr_pred", style(i))
        frequency, accuracy = group_means(run.frequency, run.accuracy)
        by_frequency.plot(frequency, 100 * accuracy, **style(i), markersize=6, label=name)
    by_accuracy.set_title("class frequency and accuracy (corr_acc)", fontsize=10)
    by_prediction.set_title("class frequency and predictions (corr_pred)", fontsize=10)
    by_frequency.set_title(f"accuracy of {GROUPS} groups of classes", fontsize=10)
    for axes in (by_accuracy, by_prediction):
        axes.axhline(0, color="grey", linewidth=0.8)
        axes.set_xlabel("top-1 accuracy (%)")
        axes.set_ylabel("Spearman correlation")
        axes.margins(x=0.15)
    by_frequency.set_xscale("symlog", linthresh=1, linscale=0.3)
    frequencies = np.concatenate([run.frequency for run in runs.values()])
    by_frequency.xaxis.set_major_locator(FixedLocator(ticks(frequencies.min(), frequencies.max())))
    by_frequency.xaxis.set_minor_locator(NullLocator())
    by_frequency.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    by_frequency.set_xlabel("class frequency (group mean)")
    by_frequency.set_ylabel("accuracy (%)")
    for axes in (by_accuracy, by_prediction, by_frequency):
        add_grid(axes)
    figure.suptitle(title, fontsize=12)
    legend_below(figure)
    return figure


def draw_correlation(axes: Axes, summary: Mapping[str, Any], key: str, look: Mapping[str, Any]) -> None:
    """A marker at (top-1, correlation) with the correlation's interval, if both are defined."""
    value, (low, high) = summary[key], summary[f"{key}_interval"]
    if value is None or summary["top1"] is None:
        return
    error = None if low is None else [[max(value - low, 0)], [max(high - value, 0)]]
    axes.errorbar(summary["top1"], value, error, **{**look, "linestyle": ""}, markersize=8, capsize=3)


def group_means(
    frequency: Int[np.ndarray, "class"], accuracy: Float[np.ndarray, "class"]
) -> tuple[Float[np.ndarray, "group"], Float[np.ndarray, "group"]]:
    """Means of frequency and accuracy over groups of classes of similar frequency, from rare to frequent.

    Classes of frequency 0 are a group of their own; classes without test examples are left out.
    """
    known = ~np.isnan(accuracy)
    frequency, accuracy = frequency[known], accuracy[known]
    order = np.argsort(frequency, kind="stable")
    unseen, seen = order[frequency[order] == 0], order[frequency[order] > 0]
    groups = [group for group in (unseen, *np.array_split(seen, GROUPS)) if len(group)]
    return np.array([frequency[g].mean() for g in groups]), np.array([accuracy[g].mean() for g in groups])


def ticks(least: int, most: int) -> list[int]:
    """Round numbers on a logarithmic axis: 1, 2, 5, 10, ... or, over more than two decades, 1, 10, 100, ..."""
    decades = [10**d for d in range(len(str(most)))]
    numbers = decades if most > 100 * max(least, 1) else [m * d for d in decades for m in (1, 2, 5)]
    return [n for n in (0, *numbers) if least <= n <= most]
