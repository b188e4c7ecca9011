"""Accuracy by class frequency in log-odds, with test images of the median class of the head, the middle and the tail.

    cliptail figures accuracy_by_frequency --runs runs.tsv --output accuracy_by_frequency

The sheet:

    run        label
    sl         SL
    clip       CLIP

Several runs with the same label, such as seeds, are drawn together. The images are from the first run's evaluation set.
Below them is the share of the class's test images that each label classifies correctly, beside its mark.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from PIL import Image

from cliptail_jax.figures.example_classes import class_ids
from cliptail_jax.figures.parts.sheet import Entry
from cliptail_jax.formats.decoding import decode_image
from cliptail_jax.host.errors import UserError
from cliptail_jax.report.evaluated_images import open_images
from cliptail_jax.report.odds import draw_odds, label_odds
from cliptail_jax.report.style import add_grid, legend_below, styles
from cliptail_jax.results.group import RunGroup
from cliptail_jax.results.run import Run

COLUMNS = ("run", "label")
OPTIONS = {
    "--classes": {"nargs": "+", "help": "names of the classes whose images are shown"},
    "--images": {"type": "int", "default": 8, "help": "test images of each of these classes (default: %(default)s)"},
}
CLASSES = 3
SIDE, GAP = 96, 8  # of an image with the space beside it, in pixels


def draw(entries: Sequence[Entry], classes: Sequence[str] | None = None, images: int = 8) -> Figure:
    """Points and lines of each label, and beside them rows of images, from the most frequent class to the rarest."""
    runs: dict[str, list[Run]] = {}
    for entry in entries:
        entry.evaluated()  # raises if it cannot be drawn
        runs.setdefault(entry["label"], []).append(Run(entry.run, eval_sets=[entry.set_name]))
    groups = {label: RunGroup(label, [[run] for run in label_runs]) for label, label_runs in runs.items()}
    evaluations = [evaluation for group in groups.values() for evaluation in group.evaluations]
    if len({evaluation.class_names for evaluation in evaluations}) > 1:
        raise UserError(f"{entries[0].location}: the runs have different classes: draw them apart")
    figure = Figure(figsize=(9.6 if images else 5, 4.4), layout="constrained")
    plot, *pictures = figure.subfigures(1, 2 if images else 1, squeeze=False)[0]
    axes = plot.subplots()
    looks = styles([*groups])
    for label, group in groups.items():
        draw_odds(axes, *group.by_class, group.odds_line, looks[label], label)
    label_odds(axes, np.concatenate([group.by_class[0] for group in groups.values()]))
    add_grid(axes)
    if images:
        names, frequency = evaluations[0].class_names, evaluations[0].frequency
        ids = class_ids(classes, names, entries[0]) if classes else median_classes(frequency)
        titles = [f"{names[c]}: {frequency[c]:,} training images" for c in ids]
        percents = [percent_right(groups, c, frequency[c]) for c in ids]
        draw_images(pictures[0], next(iter(runs.values()))[0], ids, titles, images)
        for row, class_percents in zip(pictures[0].axes, percents):
            draw_percent(row, class_percents, looks)
    legend_below(figure, [axes])
    return figure


def median_classes(frequency: Int[np.ndarray, " class"]) -> Int[np.ndarray, " chosen"]:
    """The ids of the classes in the middle of the most frequent third, of the next and of the rarest."""
    order = np.argsort(-frequency, kind="stable")
    return order[np.unique((2 * np.arange(CLASSES) + 1) * len(order) // (2 * CLASSES))]


def percent_right(groups: Mapping[str, RunGroup], c: int, frequency: int) -> dict[str, float]:
    """The percentage of a class's test images that are classified correctly, by label.

    In a mirrored pair, the class has another frequency in the second run, which is left out.
    """
    accuracies = {
        label: [e.accuracy[c] for e in group.evaluations if e.frequency[c] == frequency]
        for label, group in groups.items()
    }
    return {label: 100 * float(np.mean(values)) for label, values in accuracies.items() if values}


def draw_images(
    figure: SubFigure, run: Run, classes: Int[np.ndarray, " chosen"], titles: Sequence[str], number: int
) -> None:
    """A row of test images of each class, with its title above."""
    images = open_images(run)
    for axes, c, title in zip(figure.subplots(len(classes), 1, squeeze=False)[:, 0], classes, titles):
        row = Image.new("RGB", (number * SIDE, SIDE), "white")
        for place, image in enumerate(images.encoded(images.records[images.labels == c][:number])):
            row.paste(Image.fromarray(decode_image(image)).resize((SIDE - GAP, SIDE - GAP)), (place * SIDE, 0))
        axes.imshow(row)
        axes.axis("off")
        axes.set_title(title, fontsize=9, loc="left")


def draw_percent(axes: Axes, percent: Mapping[str, float], looks: Mapping[str, Mapping[str, Any]]) -> None:
    """The percentages beside the marks of their labels, below a row of images."""
    position = dict(transform=axes.transAxes, clip_on=False)
    axes.text(0, -0.18, "right:", fontsize=9, va="center", **position)
    for place, (label, value) in enumerate(percent.items(), 1):
        x = 0.13 * place
        axes.plot(x, -0.18, marker=looks[label]["marker"], color=looks[label]["color"], markersize=6, **position)
        axes.text(x + 0.02, -0.18, f"{value:.0f} %", fontsize=9, va="center", **position)
