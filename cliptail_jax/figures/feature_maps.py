"""t-SNE maps of class centres, and of the images of some classes (figure 9).

    cliptail figures feature_maps --runs runs.tsv --output feature_maps

The sheet:

    run        label
    sl         SL
    clip       CLIP

Needs evaluations with eval.save_features, and scikit-learn: pip install -e '.[figures]'. At the top are the mean image
features of each class, coloured by class frequency; at the bottom the images of `--classes` classes, evenly spaced from the
most frequent to the rarest. Features are normalized to length 1.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from cliptail_jax.figures.parts.classes import class_centres, spread_classes
from cliptail_jax.figures.parts.sheet import Entry
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.similarity import unit
from cliptail_jax.report.style import legend_below, style

COLUMNS = ("run", "label")
OPTIONS = {
    "--classes": {"type": "int", "default": 12, "help": "number of classes whose images are shown (%(default)s)"}
}
IMAGES = 40  # of a class, at most


def draw(entries: Sequence[Entry], classes: int = 12) -> Figure:
    """A column for each run: the centres of all classes, and images of `classes` of them.

    Raises:
        UserError: scikit-learn is not installed, or there are too few classes or images for a map.
    """
    if classes < 1:
        raise UserError(f"--classes {classes}: give a number from 1 on")
    figure = Figure(figsize=(4.2 * len(entries) + 0.9, 8.4), layout="constrained")
    panels = figure.subplots(2, len(entries), squeeze=False)
    first = entries[0].evaluated()
    ids = spread_classes(first.frequency, classes)
    for (centre_axes, image_axes), entry in zip(panels.T, entries):
        features, labels, evaluation = unit(entry.saved("features")), entry.saved("labels"), entry.evaluated()
        if evaluation.class_names != first.class_names:
            raise UserError(f"{entry.location}: {entry.run} has other classes than {entries[0].run}: draw them apart")
        centres, present = class_centres(features, labels)
        frequency = evaluation.frequency[present]
        norm = SymLogNorm(1, 0.3, vmin=frequency.min(), vmax=frequency.max())
        look = dict(cmap="viridis", norm=norm, s=16, edgecolors="0.5", linewidths=0.3)
        points = centre_axes.scatter(*tsne(unit(centres)).T, c=frequency, **look)
        figure.colorbar(points, ax=centre_axes, location="bottom", shrink=0.8, label="class frequency")
        centre_axes.set_title(f"{entry['label']}: class centres", fontsize=10)
        draw_images(image_axes, features, labels, ids, first.class_names)
        image_axes.set_title(f"{entry['label']}: images", fontsize=10)
        for axes in (centre_axes, image_axes):
            axes.set_xticks([])
            axes.set_yticks([])
    legend_below(figure, panels[1], columns=2 * len(entries))
    return figure


def draw_images(
    axes: Axes,
    features: Float[np.ndarray, "image dim"],
    labels: Int[np.ndarray, " image"],
    ids: Int[np.ndarray, " class"],
    class_names: Sequence[str],
) -> None:
    """A map of the first images of the classes with these ids."""
    rows = np.concatenate([np.flatnonzero(labels == c)[:IMAGES] for c in ids])
    places = tsne(features[rows])
    for number, c in enumerate(ids):
        look = style(number)
        mfc = look["color"] if look["linestyle"] == "-" else "none"
        dots = dict(marker=look["marker"], color=look["color"], mfc=mfc, linestyle="", markersize=4)
        axes.plot(*places[labels[rows] == c].T, **dots, label=class_names[c])


def tsne(x: Float[np.ndarray, "point dim"]) -> Float[np.ndarray, "point 2"]:
    """t-SNE (van der Maaten and Hinton, JMLR 9, 2008) that starts from the principal components.

    The perplexity is 30, or a third of the other points if that is less.
    """
    try:
        from sklearn.manifold import TSNE
    except ModuleNotFoundError:
        raise UserError("the figure feature_maps needs scikit-learn: pip install -e '.[figures]'") from None
    if len(x) < 4:
        raise UserError(f"a t-SNE map needs at least 4 points, not {len(x)}: give more --classes")
    return TSNE(perplexity=min(30.0, (len(x) - 1) / 3), init="pca", random_state=0).fit_transform(x)
