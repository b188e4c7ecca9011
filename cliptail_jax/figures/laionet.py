"""How class frequencies fall in variants of LAIONet, and how alike the images of a class are there (figure 11).

    python -m cliptail_jax.figures laionet --runs variants.tsv --output laionet

The sheet:

    label        frequency              run
    0.7          thresh0.7.tsv          similarity_070
    0.82         thresh0.82.tsv         similarity_082

`frequency` is a table of class name <TAB> count, such as a run's class_frequency.tsv. `run` is a CLIP evaluated with
eval.similarity on the variant's images (as a set NAME:SPLIT), and may be left out; where no line has one, so is the
histogram of the mean cosines between two images of a class.
"""

import argparse
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cliptail_jax.concepts.frequency_tables import read_frequency
from cliptail_jax.errors import UserError
from cliptail_jax.figures.sheet import Entry, read_sheet
from cliptail_jax.files import work_path
from cliptail_jax.metrics.imbalance import gini
from cliptail_jax.plotting.style import bare, legend_below, line_style

BINS = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs", type=work_path, required=True, help="the sheet: label, frequency; run and set where wanted"
    )


def draw(options: argparse.Namespace) -> Figure:
    return draw_laionet(read_sheet(options.runs, ("label", "frequency")))


def draw_laionet(entries: Sequence[Entry]) -> Figure:
    """Ranked class frequencies, and where there are runs a histogram of how alike a class's images are to them."""
    similarities = {number: similarity(entry) for number, entry in enumerate(entries) if entry["run"]}
    figure = Figure(figsize=(10 if similarities else 7, 4.2 + 0.1 * len(entries)), layout="constrained")
    panels = figure.subplots(1, 1 + bool(similarities), squeeze=False)[0]
    bins = np.linspace(*span(similarities.values()), BINS + 1) if similarities else ()
    for number, entry in enumerate(entries):
        look = line_style(number)
        _, frequency = read_frequency(entry.path("frequency"))
        ranked = np.sort(frequency[frequency > 0])[::-1]
        label = f"{entry['label']}: {frequency.sum():,}, Gini {gini(frequency):.2f}"
        panels[0].plot(np.arange(1, len(ranked) + 1), ranked, **look, label=label)
        if number in similarities:
            panels[1].hist(similarities[number], bins, histtype="step", linewidth=1.5, **look)
    panels[0].set_yscale("log")
    panels[0].set_xlabel("class, from the variant's most frequent")
    panels[0].set_ylabel("records that carry the class")
    if similarities:
        panels[1].set_xlabel("mean cosine between two images of a class")
        panels[1].set_ylabel("classes")
    for axes in panels:
        bare(axes)
    legend_below(figure, columns=2)
    return figure


def similarity(entry: Entry) -> np.ndarray:
    """Of each class with two images or more. Raises UserError where it was not evaluated."""
    arrays = entry.arrays()
    if "image_image_similarity" not in arrays:
        raise UserError(
            f"{entry.where}: {entry.run} has no image similarities: evaluate it with --config.eval.similarity"
        )
    values = arrays["image_image_similarity"]
    return values[~np.isnan(values)]


def span(arrays) -> tuple[float, float]:
    """The least and the largest of all values."""
    values = np.concatenate(list(arrays))
    return float(values.min()), float(values.max())
