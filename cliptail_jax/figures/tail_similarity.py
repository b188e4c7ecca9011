"""The similarity of the rarest classes to each other in a model, and its accuracy on each (figure 8).

    cliptail figures tail_similarity --runs runs.tsv --classes 12 --output tail_similarity

The sheet:

    run        label
    sl         SL
    clip       CLIP, frozen text tower

Needs evaluations with eval.save_features. The heat maps are cosines between class embeddings (the rows of the classifier,
or the embeddings of the class prompts) and between class means of image features, relative to the mean of all; the bars are
accuracies. Classes are ranked by the table `--ranking`, such as that of the variant before its tail was trimmed, or else by
the first run, with ties in label order; they are shown from frequent to rare.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from cliptail_jax.figures.parts.classes import class_centres, rarest
from cliptail_jax.figures.parts.sheet import Entry
from cliptail_jax.formats.frequency_tables import frequency_of
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.similarity import unit
from cliptail_jax.report.style import add_grid, legend_below, styles

COLUMNS = ("run", "label")
OPTIONS = {
    "--classes": {"type": "int", "default": 12, "help": "number of rarest classes (%(default)s)"},
    "--ranking": {"type": "path", "help": "a table of class frequencies that ranks the classes"},
}


def draw(entries: Sequence[Entry], classes: int = 12, ranking: Path | None = None) -> Figure:
    """Heat maps and accuracies of the rarest `classes`, by the table `ranking` or else by the first run.

    Raises:
        UserError: the runs differ in their classes, have too few, or have ties that only label order would break.
    """
    runs = [entry.evaluated() for entry in entries]
    names = runs[0].class_names
    for entry, evaluation in zip(entries, runs):
        if evaluation.class_names != names:
            raise UserError(f"{entry.location}: {entry.run} has other classes than {entries[0].run}")
    if not 2 <= classes <= len(names):
        raise UserError(f"--classes {classes}: give a number between 2 and {len(names)}, the classes")
    frequency = frequency_of(names, ranking) if ranking else runs[0].frequency
    if not ranking:
        check_cut(frequency, classes, entries[0])
    tail = rarest(frequency, classes)[::-1]
    side = max(2.7, 0.13 * classes)  # of a heat map in inches
    height = side + 0.6
    figure = Figure(figsize=(max(7.0, (side + 0.5) * len(entries) + 1.6), 2 * height + 2.8), layout="constrained")
    grid = figure.add_gridspec(3, len(entries), height_ratios=(height, height, 2.4))
    embeddings = [cosines(entry.saved("head")[tail]) for entry in entries]
    centres = [cosines(tail_centres(entry, tail, len(names))) for entry in entries]
    for row, (maps, title) in enumerate(((embeddings, "class embeddings"), (centres, "image centres"))):
        low, high = np.nanmin(maps), np.nanmax(maps)
        row_axes = [figure.add_subplot(grid[row, column]) for column in range(len(entries))]
        for axes, values, entry in zip(row_axes, maps, entries):
            picture = axes.imshow(values, cmap="cividis", vmin=low, vmax=high)
            axes.set_title(f"{textwrap.fill(entry['label'], int(13 * side))}\n{title}", fontsize=9)
            axes.set_xticks([])
            axes.set_yticks([])
        row_axes[0].set_yticks(range(classes), [names[c] for c in tail], fontsize=8 if classes <= 20 else 7)
        figure.colorbar(picture, ax=row_axes, label="cosine", shrink=0.9)
    bars = figure.add_subplot(grid[2, :])
    width, looks = 0.8 / len(entries), styles(entry["label"] for entry in entries)
    for i, (entry, evaluation) in enumerate(zip(entries, runs)):
        places = np.arange(classes) + width * (i - (len(entries) - 1) / 2)
        colour = looks[entry["label"]]["color"]
        bars.bar(places, 100 * evaluation.accuracy[tail], width, color=colour, label=entry["label"])
    bars.set_xticks(
        range(classes), [names[c] for c in tail], rotation=40, ha="right", rotation_mode="anchor", fontsize=8
    )
    bars.set_ylabel("accuracy (%)")
    add_grid(bars)
    legend_below(figure, [bars])
    return figure


def check_cut(frequency: Int[np.ndarray, " class"], classes: int, entry: Entry) -> None:
    """Raise UserError if the `classes` rarest classes of the run are not unique."""
    largest = np.sort(frequency)[classes - 1]
    number = np.count_nonzero(frequency <= largest)
    if number > classes:
        raise UserError(
            f"--classes {classes}: {entry.run} has {np.count_nonzero(frequency == largest)} classes that are equally rare "
            f"({largest} images): give --ranking, frequencies from before the tail was trimmed, or --classes {number}"
        )


def cosines(vectors: Float[np.ndarray, "class dim"]) -> Float[np.ndarray, "class class"]:
    """Cosines between different vectors; nan on the diagonal, which would dominate the colour scale."""
    vectors = unit(vectors)
    values = vectors @ vectors.T
    np.fill_diagonal(values, np.nan)
    return values


def tail_centres(entry: Entry, tail: Int[np.ndarray, " tail"], classes: int) -> Float[np.ndarray, "tail dim"]:
    """The class means of image features minus the mean of all class means; nan for classes without images."""
    features, labels = entry.saved("features"), entry.saved("labels")
    centres, present = class_centres(features.astype(np.float64), labels)
    all_centres = np.full((classes, centres.shape[1]), np.nan)
    all_centres[present] = centres - centres.mean(axis=0)
    return all_centres[tail]
