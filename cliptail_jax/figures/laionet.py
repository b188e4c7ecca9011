"""Class frequencies in variants of LAIONet, and the similarity of images in a class (figure 11).

    cliptail figures laionet --runs variants.tsv --output laionet

The sheet:

    label        frequency              run
    0.7          thresh0.7.tsv          similarity_070
    0.82         thresh0.82.tsv         similarity_082

`frequency` is a table of class name <TAB> count, such as the class_frequency.tsv of a run. The optional column `run` is a
CLIP model that was evaluated with eval.similarity on the images of the variant (as a set NAME:SPLIT); the runs give a
histogram of the mean cosine between two images of a class.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from cliptail_jax.figures.parts.sheet import Entry
from cliptail_jax.formats.frequency_tables import read_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.imbalance import gini
from cliptail_jax.report.style import add_grid, legend_below, line_style

COLUMNS = ("label", "frequency")
BINS = 40


def draw(entries: Sequence[Entry]) -> Figure:
    """Ranked class frequencies, and a histogram of the similarities if there are any runs."""
    similarities = {number: similarity(entry) for number, entry in enumerate(entries) if entry["run"]}
    figure = Figure(figsize=(10 if similarities else 7, 4.2 + 0.1 * len(entries)), layout="constrained")
    panels = figure.subplots(1, 2 if similarities else 1, squeeze=False)[0]
    bins = np.histogram_bin_edges(np.concatenate([[], *similarities.values()]), BINS)
    for number, entry in enumerate(entries):
        look = line_style(number)
        _, frequency = read_frequency(entry.path("frequency"))
        sorted_frequency = np.sort(frequency[frequency > 0])[::-1]
        label = f"{entry['label']}: {frequency.sum():,}, Gini {gini(frequency):.2f}"
        panels[0].plot(np.arange(1, len(sorted_frequency) + 1), sorted_frequency, **look, label=label)
        if number in similarities:
            panels[1].hist(similarities[number], bins, histtype="step", linewidth=1.5, **look)
    panels[0].set_yscale("log")
    panels[0].set_xlabel("class, from the variant's most frequent")
    panels[0].set_ylabel("class frequency (records)")
    if similarities:
        panels[1].set_xlabel("mean cosine between two images of a class")
        panels[1].set_ylabel("classes")
    for axes in panels:
        add_grid(axes)
    legend_below(figure, columns=2)
    return figure


def similarity(entry: Entry) -> Float[np.ndarray, " class"]:
    """The mean cosine of each class with two images or more. Raises UserError if it was not evaluated."""
    values = entry.evaluation.results.values.get("image_image_similarity")
    if values is None:
        raise UserError(
            f"{entry.location}: {entry.run} has no image similarities: evaluate it with --config.eval.similarity"
        )
    return values[~np.isnan(values)]
