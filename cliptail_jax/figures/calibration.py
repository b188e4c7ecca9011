"""Reliability diagrams: accuracy by confidence, on head, middle and tail.

    cliptail figures calibration --runs runs.tsv --output calibration

The sheet:

    run        label
    sl         SL
    clip       CLIP

Points are bins of confidence, at the mean confidence and the accuracy of their images. Larger points have more images
of the group. Below the diagonal, a model is more confident than it is accurate. Above each panel is the mean confidence
minus the accuracy of each group, in percent (Guo et al. 2017, arXiv 1706.04599).
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cliptail_jax.figures.parts.sheet import Entry
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.measures import GROUPS
from cliptail_jax.report.style import add_grid, legend_below, style

COLUMNS = ("run", "label")
PANELS_PER_ROW = 4


def draw(entries: Sequence[Entry]) -> Figure:
    """A panel for each run, in which head, middle and tail are lines."""
    columns = min(len(entries), PANELS_PER_ROW)
    rows = -(-len(entries) // columns)
    figure = Figure(figsize=(max(6.0, 3.4 * columns + 0.4), 3.6 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, entry in zip(panels.flat, entries):
        draw_run(axes, entry)
    for axes in panels.flat[len(entries) :]:
        axes.remove()
    for axes in panels[:, 0]:
        axes.set_ylabel("accuracy (%)")
    for axes in panels[-1][: len(entries) - columns * (rows - 1)]:
        axes.set_xlabel("confidence (%)")
    legend_below(figure)
    return figure


def draw_run(axes: Axes, entry: Entry) -> None:
    results = entry.evaluated().results
    if results.calibration is None:
        raise UserError(f"{entry.location}: {entry.run} has no calibration on {entry.set_name}: evaluate it again")
    axes.plot([0, 100], [0, 100], color="grey", linewidth=0.8, linestyle="--")
    overconfidences = []
    for number, (name, title) in enumerate(GROUPS.items()):
        sums = [by_class[results.groups[name]].sum(axis=0) for by_class in results.calibration]
        examples, confidence, correct = (by_bin[sums[0] > 0] for by_bin in sums)
        look = style(number)
        overconfidences.append(f"{title} {entry.measure(f'overconfidence_{name}').value:+.1f}")
        axes.plot(100 * confidence / examples, 100 * correct / examples, **look, markersize=1, label=title)
        sizes = 60 * np.sqrt(examples / max(examples.sum(), 1))
        axes.scatter(
            100 * confidence / examples, 100 * correct / examples, sizes, look["color"], look["marker"], zorder=3
        )
    axes.set_title(f"{entry['label']}\n{', '.join(overconfidences)}", fontsize=9)
    axes.set_xlim(-3, 103)
    axes.set_ylim(-3, 103)
    add_grid(axes)
