"""t-SNE of class centres, and of images of some classes (figure 9).

    python -m cliptail_jax.figures feature_maps --runs runs.tsv --output feature_maps

The sheet:

    run        label
    sl         SL
    clip       CLIP

Needs evaluations with eval.save_features. Above, the mean of each class's image features, coloured by how frequent the
class is; below, images of `--classes` classes, evenly spread from the most frequent to the rarest. Features are compared
at length 1, so by their cosines.
"""

import argparse
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from cliptail_jax.errors import UserError
from cliptail_jax.figures.sheet import Entry, read_sheet
from cliptail_jax.figures.tsne import tsne
from cliptail_jax.files import work_path
from cliptail_jax.metrics.similarity import unit
from cliptail_jax.plotting.style import legend_below, style

IMAGES = 40  # of a class, at most


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=work_path, required=True, help="the sheet: run, label; set where wanted")
    parser.add_argument(
        "--classes", type=int, default=12, help="how many classes have their images drawn (%(default)s)"
    )


def draw(options: argparse.Namespace) -> Figure:
    return draw_feature_maps(read_sheet(options.runs, ("run", "label")), options.classes)


def draw_feature_maps(entries: Sequence[Entry], classes: int) -> Figure:
    """A column for each run: the centres of all classes, and images of so many `classes`.

    Raises:
        UserError: there are to be no classes.
    """
    if classes < 1:
        raise UserError(f"--classes {classes}: give a number from 1 on")
    figure = Figure(figsize=(4.2 * len(entries) + 0.9, 8.4), layout="constrained")
    panels = figure.subplots(2, len(entries), squeeze=False)
    first = entries[0].evaluated()
    chosen = spread_classes(first.frequency, classes)
    for (above, below), entry in zip(panels.T, entries):
        features, labels, evaluated = unit(entry.saved("features")), entry.saved("labels"), entry.evaluated()
        centres, present = class_centres(features, labels)
        frequency = evaluated.frequency[present]
        place = tsne(unit(centres))
        norm = SymLogNorm(1, 0.3, vmin=frequency.min(), vmax=frequency.max())
        points = above.scatter(*place.T, c=frequency, cmap="viridis", norm=norm, s=16, edgecolors="0.5", linewidths=0.3)
        figure.colorbar(points, ax=above, location="bottom", shrink=0.8, label="class frequency")
        above.set_title(f"{entry['label']}: class centres", fontsize=10)
        draw_images(below, features, labels, chosen, first.class_names)
        below.set_title(f"{entry['label']}: images", fontsize=10)
        for axes in (above, below):
            axes.set_xticks([])
            axes.set_yticks([])
    legend_below(figure, panels[1], columns=2 * len(entries))
    return figure


def spread_classes(frequency: Int[np.ndarray, "class"], count: int) -> Int[np.ndarray, "chosen"]:
    """So many class ids, evenly from the most frequent to the rarest."""
    order = np.argsort(-frequency, kind="stable")
    return order[np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)]


def class_centres(
    features: Float[np.ndarray, "image dim"], labels: Int[np.ndarray, "image"]
) -> tuple[Float[np.ndarray, "present dim"], Int[np.ndarray, "present"]]:
    """The means of the classes that have images, and their ids."""
    present, places, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    sums = np.zeros((len(present), features.shape[1]))
    np.add.at(sums, places, features)
    return sums / sizes[:, None], present


def draw_images(
    axes: Axes,
    features: Float[np.ndarray, "image dim"],
    labels: Int[np.ndarray, "image"],
    chosen: Int[np.ndarray, "class"],
    class_names: Sequence[str],
) -> None:
    """A map of the first images of the chosen classes, which come in the order of the legend."""
    rows = np.concatenate([np.flatnonzero(labels == c)[:IMAGES] for c in chosen])
    place = tsne(features[rows])
    for number, c in enumerate(chosen):
        look = style(number)
        mfc = look["color"] if look["linestyle"] == "-" else "none"
        of_class = place[labels[rows] == c]
        dots = dict(marker=look["marker"], color=look["color"], mfc=mfc, linestyle="", markersize=4)
        axes.plot(*of_class.T, **dots, label=class_names[c])
