"""The picture of a collection: accuracy by class before and after."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from cliptail_jax.metrics.collection import NOBODY, PLAN, Collection
from cliptail_jax.report.collection import budget_of
from cliptail_jax.report.style import add_grid, style


def draw_classes(found: Collection) -> Figure:
    """A line for each class from its images and accuracy to those after the plan."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes, frequency = figure.subplots(), found.counts.frequency
    after = frequency + found.plan
    accuracy = [100 * found.accuracy(rule) for rule in (NOBODY, PLAN)]
    x = [np.maximum(images, 0.5) for images in (frequency, after)]
    moved = found.plan > 0
    axes.plot(np.stack(x)[:, moved], np.stack(accuracy)[:, moved], color="#999999", linewidth=0.7, zorder=1)
    axes.plot(x[0], accuracy[0], **style(0) | {"linestyle": ""}, markersize=4, label="now")
    axes.plot(x[1][moved], accuracy[1][moved], **style(1) | {"linestyle": ""}, markersize=4, label="after the plan")
    axes.set(xscale="log", ylim=(-2, 102), xlabel="training images of the class", ylabel="predicted accuracy (%)")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.4g}"))
    axes.set_title(f"{budget_of(found)}, by class", fontsize=10)
    axes.legend(loc="lower right")
    add_grid(axes)
    return figure
