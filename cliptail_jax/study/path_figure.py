"""The figure of a study whose runs are steps of a path: bias and accuracy at each step."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cliptail_jax.figures.parts.planes import place_labels
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.plotting.style import add_grid, legend_below, style
from cliptail_jax.results.group import RunGroup

PANELS = ("odds_acc", "slope_pred")


def draw_path(groups: Mapping[str, RunGroup], path: Sequence[str], title: str) -> Figure:
    """A panel for each slope, against top-1: a marker for each group, and arrows along the path, in its order.

    Groups on the path are filled, and the others hollow.
    """
    figure = Figure(figsize=(12, 5.6), layout="constrained")
    labels = {}
    for axes, key in zip(figure.subplots(1, 2), PANELS):
        places = {name: place(group, key) for name, group in groups.items() if group.evaluations}
        for number, name in enumerate(places):
            draw_group(axes, groups[name], key, places[name], number, name, name in path)
        steps = [places[name] for name in path if name in places]
        for start, end in zip(steps, steps[1:]):
            look = dict(arrowstyle="-|>", color="grey", shrinkA=6, shrinkB=6, alpha=0.8)
            axes.annotate("", end, start, arrowprops=look, annotation_clip=False)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xlabel("top-1 accuracy (%)")
        axes.set_ylabel(f"{MEASURES[key].unit} ({key})")
        axes.margins(0.1)
        add_grid(axes)
        labels[axes] = [(*at, name) for name, at in places.items()]
    figure.suptitle(title, fontsize=12)
    legend_below(figure, columns=6)
    figure.draw_without_rendering()  # labels are placed in the final layout
    for axes, points in labels.items():
        place_labels(axes, points)
    return figure


def place(group: RunGroup, key: str) -> tuple[float, float]:
    """Top-1 and the slope of a group of runs."""
    return group.mean("top1"), group.value(key)


def draw_group(
    axes: Axes, group: RunGroup, key: str, at: tuple[float, float], number: int, name: str, filled: bool
) -> None:
    look, estimate = style(number), group.bias[key]
    axes.plot([at[0]] * 2, [estimate.low, estimate.high], color=look["color"], linewidth=1, alpha=0.5)
    face = look["color"] if filled else "white"
    axes.plot(*at, marker=look["marker"], linestyle="", color=look["color"], mfc=face, markersize=8, label=name)
