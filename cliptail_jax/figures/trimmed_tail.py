"""What few or no images of the tail leave of it: accuracy of the trimmed classes and of the others (figure 7).

    python -m cliptail_jax.figures trimmed_tail --runs trimmed.tsv --output trimmed_tail

The sheet:

    run                group
    sl_5_0_shot        SL
    sl_100_1_shot      SL
    clip_5_0_shot      CLIP, frozen text tower

How many classes were trimmed, and to how many images, each run's config says. The tail are as many of its rarest classes;
the others are head and middle. Where other classes are as rare as the trimmed, `--untrimmed` says which these are: the table
of class frequencies before the tail was trimmed. A run that was not trimmed is a dashed line of its accuracies on as many classes.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from cliptail_jax.concepts.frequency_tables import frequency_of
from cliptail_jax.errors import UserError
from cliptail_jax.figures.lines import ASIDE, draw_group, line_of
from cliptail_jax.figures.sheet import Entry, Measure, read_sheet
from cliptail_jax.files import work_path
from cliptail_jax.metrics.groups import group_accuracy
from cliptail_jax.plotting.style import bare, legend_below, styles
from cliptail_jax.runs import read_config

PARTS = {"others": "head and middle", "tail": "tail"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=work_path, required=True, help="the sheet: run, group; set where wanted")
    parser.add_argument("--untrimmed", type=work_path, help="class frequencies before the tail was trimmed")


def draw(options: argparse.Namespace) -> Figure:
    return draw_trimmed_tail(read_sheet(options.runs, ("run", "group")), options.untrimmed)


def draw_trimmed_tail(entries: Sequence[Entry], untrimmed: Path | None) -> Figure:
    """A column of panels for each number of shots, above the others and below the tail, in percent."""
    cuts = [cut_of(entry) for entry in entries]
    trimmed = sorted({classes for classes, _ in cuts if classes})
    shots = sorted({of_run for classes, of_run in cuts if classes}, reverse=True)
    if not trimmed:
        raise UserError(f"{entries[0].where}: none of the runs was trained on a trimmed tail (data.tail.classes)")
    looks = styles(entry["group"] for entry in entries)
    figure = Figure(figsize=(4.2 * len(shots) + 0.6, 6.4), layout="constrained")
    panels = figure.subplots(len(PARTS), len(shots), squeeze=False, sharex=True, sharey="row")
    for column, of_panel in zip(panels.T, shots):
        points: dict[tuple[str, str], list[tuple[float, Measure]]] = {}
        for entry, (classes, of_run) in zip(entries, cuts):
            if classes and of_run == of_panel:
                for part, value in accuracies(entry, untrimmed, classes).items():
                    points.setdefault((entry["group"], part), []).append((classes, Measure(value)))
            elif not classes:
                for cut in trimmed:
                    for part, value in accuracies(entry, untrimmed, cut).items():
                        points.setdefault((entry["group"], f"{part}, untrimmed"), []).append((cut, Measure(value)))
        for axes, part in zip(column, PARTS):
            axes.set_xscale("log")
            axes.set_xlim(trimmed[0] / 1.3, trimmed[-1] * 1.3)
            draw_part(axes, points, part, looks)
            axes.set_xticks(trimmed, [f"{classes:,}" for classes in trimmed])
            axes.xaxis.set_minor_locator(NullLocator())
        column[0].set_title(f"{of_panel}-shot", fontsize=10)
        column[-1].set_xlabel("trimmed classes")
    for row, name in zip(panels, PARTS.values()):
        row[0].set_ylabel(f"accuracy, {name} (%)")
    legend_below(figure)
    return figure


def draw_part(
    axes: Axes,
    points: Mapping[tuple[str, str], Sequence[tuple[float, Measure]]],
    part: str,
    looks: Mapping[str, Mapping[str, Any]],
) -> None:
    for number, (group, look) in enumerate(looks.items()):
        if (group, part) in points:
            draw_group(axes, points[group, part], look, group, aside=ASIDE * (number - (len(looks) - 1) / 2))
        if (group, f"{part}, untrimmed") in points:
            cuts, values = line_of(points[group, f"{part}, untrimmed"])
            if len(cuts) == 1:  # of which there would be no line
                cuts, values = axes.get_xlim(), values * 2
            axes.plot(cuts, values, color=look["color"], linestyle="--", linewidth=1, label=f"{group}, untrimmed")
    bare(axes)


def cut_of(entry: Entry) -> tuple[int, int]:
    """To how many images each of how many classes of the run was trimmed."""
    entry.set_name  # raises where there is no run
    config = read_config(entry.run)
    return config.get("data.tail.classes", 0), config.get("data.tail.shots", 0)


def accuracies(entry: Entry, untrimmed: Path | None, classes: int) -> dict[str, float]:
    """Mean accuracy in percent of the `classes` rarest of the untrimmed variant, or else of the run's, and of the others."""
    run = entry.evaluated()
    tail = rarest(frequency_of(run.class_names, untrimmed) if untrimmed else run.frequency, classes)
    others = np.setdiff1d(np.arange(len(run.accuracy)), tail)
    return {"others": group_accuracy(run.accuracy, others), "tail": group_accuracy(run.accuracy, tail)}


def rarest(frequency: Int[np.ndarray, "class"], classes: int) -> Int[np.ndarray, "tail"]:
    """The ids of so many rarest classes, as `data.tail` chooses them: the rarest first, equal ones in label order."""
    return np.argsort(frequency, kind="stable")[:classes]
