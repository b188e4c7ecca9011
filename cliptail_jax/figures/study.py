"""A study at a glance: how biased each run is towards frequent classes, and its accuracy from tail to head."""

from pathlib import Path

import matplotlib
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cliptail_jax.runs import FinishedRun

# Okabe and Ito's colours, told apart by the colour-blind, and a marker each for print in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
BINS = 10


def draw_study(finished: dict[str, FinishedRun], title: str, path: Path) -> None:
    """Write the figure as `path`.png and `path`.pdf."""
    figure = Figure(figsize=(11, 3.9), layout="constrained")
    by_accuracy, by_prediction, by_frequency = figure.subplots(1, 3)
    for i, (name, run) in enumerate(finished.items()):
        style = dict(color=COLOURS[i % len(COLOURS)], marker=MARKERS[i % len(MARKERS)])
        draw_correlation(by_accuracy, run.summary, "corr_acc", style)
        draw_correlation(by_prediction, run.summary, "corr_pred", style)
        frequency, accuracy = binned(run.frequency, run.accuracy)
        by_frequency.plot(frequency, 100 * accuracy, **style, markersize=5, label=name)
    by_accuracy.set_ylabel("corr(class frequency, accuracy)")
    by_prediction.set_ylabel("corr(class frequency, predictions)")
    for axes in (by_accuracy, by_prediction):
        axes.set_xlabel("top-1 accuracy (%)")
        axes.margins(x=0.2)
    by_frequency.set_xscale("symlog", linthresh=1)
    by_frequency.xaxis.set_major_formatter(matplotlib.ticker.ScalarFormatter())
    by_frequency.set_xlabel(f"class frequency (means of {BINS} groups of classes)")
    by_frequency.set_ylabel("accuracy (%)")
    for axes in (by_accuracy, by_prediction, by_frequency):
        axes.grid(alpha=0.3)
    figure.suptitle(title, fontsize=11)
    figure.legend(*by_frequency.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    for ending in (".png", ".pdf"):
        figure.savefig(path.with_suffix(ending), dpi=150)


def draw_correlation(axes: Axes, summary: dict, key: str, style: dict) -> None:
    """One marker at (top-1, correlation), with the correlation's interval."""
    if summary[key] is None:  # undefined, as of a run that predicts one class alone
        return
    low, high = summary[f"{key}_interval"]
    error = [[max(summary[key] - low, 0)], [max(high - summary[key], 0)]]
    axes.errorbar(summary["top1"], summary[key], error, **style, markersize=8, capsize=3, linestyle="")


def binned(
    frequency: Int[np.ndarray, "class"], accuracy: Float[np.ndarray, "class"]
) -> tuple[Float[np.ndarray, "bin"], Float[np.ndarray, "bin"]]:
    """Means of frequency and accuracy over groups of neighbouring classes, from rare to frequent."""
    known = ~np.isnan(accuracy)
    order = np.argsort(frequency[known], kind="stable")
    groups = [g for g in np.array_split(order, BINS) if len(g)]
    return (
        np.array([frequency[known][g].mean() for g in groups]),
        np.array([accuracy[known][g].mean() for g in groups]),
    )
