"""Accuracy on tail classes that were trimmed to few or no images, and on the others (figure 7).

    cliptail figures trimmed_tail --runs trimmed.tsv --output trimmed_tail

The sheet:

    run                group
    sl_5_0_shot        SL
    sl_100_1_shot      SL
    clip_5_0_shot      CLIP, frozen text tower

The number of trimmed classes and their images are read from the config of each run. The tail consists of this number of
rarest classes; the others are head and middle. If other classes are as rare as the trimmed ones, give `--untrimmed`,
the table of class frequencies before trimming. Runs without trimming are dashed lines, with their accuracies on the
same number of classes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from cliptail_jax.figures.parts.classes import rarest
from cliptail_jax.figures.parts.lines import draw_group, line_of, offset
from cliptail_jax.figures.parts.sheet import Entry
from cliptail_jax.formats.frequency_tables import frequency_of
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.groups import group_accuracy
from cliptail_jax.report.style import add_grid, legend_below, styles

COLUMNS = ("run", "group")
OPTIONS = {"--untrimmed": {"type": "path", "help": "table of class frequencies before the tail was trimmed"}}
PARTS = {"others": "head and middle", "tail": "tail"}


def draw(entries: Sequence[Entry], untrimmed: Path | None = None) -> Figure:
    """A column of panels for each number of shots: the other classes at the top and the tail at the bottom, in percent."""
    # Of each run, the number of classes that were trimmed, and the number of images that each of them has left.
    cuts = [tuple(entry.results.config.get(f"data.tail.{key}", 0) for key in ("classes", "shots")) for entry in entries]
    numbers = sorted({classes for classes, _ in cuts if classes})
    shots = sorted({run_shots for classes, run_shots in cuts if classes}, reverse=True)
    if not numbers:
        raise UserError(f"{entries[0].location}: none of the runs was trained on a trimmed tail (data.tail.classes)")
    looks = styles(entry["group"] for entry in entries)
    figure = Figure(figsize=(4.2 * len(shots) + 0.6, 6.4), layout="constrained")
    panels = figure.subplots(len(PARTS), len(shots), squeeze=False, sharex=True, sharey="row")
    for column, panel_shots in zip(panels.T, shots):
        points: dict[tuple[str, str], list[tuple[float, Estimate]]] = {}
        for entry, (classes, run_shots) in zip(entries, cuts):
            if classes and run_shots != panel_shots:
                continue
            suffix = "" if classes else ", untrimmed"
            for cut in [classes] if classes else numbers:
                for part, value in accuracies(entry, untrimmed, cut).items():
                    points.setdefault((entry["group"], part + suffix), []).append((cut, Estimate(value)))
        for axes, part in zip(column, PARTS):
            axes.set_xscale("log")
            axes.set_xlim(numbers[0] / 1.3, numbers[-1] * 1.3)
            draw_part(axes, points, part, looks)
            axes.set_xticks(numbers, [f"{classes:,}" for classes in numbers])
            axes.xaxis.set_minor_locator(NullLocator())
        column[0].set_title(f"{panel_shots}-shot", fontsize=10)
        column[-1].set_xlabel("trimmed classes")
    for row, name in zip(panels, PARTS.values()):
        row[0].set_ylabel(f"accuracy, {name} (%)")
    legend_below(figure)
    return figure


def draw_part(
    axes: Axes,
    points: Mapping[tuple[str, str], Sequence[tuple[float, Estimate]]],
    part: str,
    looks: Mapping[str, Mapping[str, Any]],
) -> None:
    for number, (group, look) in enumerate(looks.items()):
        if (group, part) in points:
            draw_group(axes, points[group, part], look, group, offset(number, len(looks)))
        if (group, f"{part}, untrimmed") in points:
            cuts, values = line_of(points[group, f"{part}, untrimmed"])
            if len(cuts) == 1:  # a single point would draw no line
                cuts, values = axes.get_xlim(), values * 2
            axes.plot(cuts, values, color=look["color"], linestyle="--", linewidth=1, label=f"{group}, untrimmed")
    add_grid(axes)


def accuracies(entry: Entry, untrimmed: Path | None, classes: int) -> dict[str, float]:
    """Mean accuracy in percent on the `classes` rarest of the table `untrimmed`, or else of the run, and on the others."""
    run = entry.evaluated()
    tail = rarest(frequency_of(run.class_names, untrimmed) if untrimmed else run.frequency, classes)
    other_classes = np.setdiff1d(np.arange(len(run.accuracy)), tail)
    return {"others": group_accuracy(run.accuracy, other_classes), "tail": group_accuracy(run.accuracy, tail)}
