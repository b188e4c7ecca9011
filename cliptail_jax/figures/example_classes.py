"""Some classes: how frequent they are, as bars, and how accurate each run is on them, as lines (figure 13).

    python -m cliptail_jax.figures example_classes --runs runs.tsv --classes goldfish tench --output example_classes

The sheet:

    run        label
    sl         SL
    clip       CLIP

The bars are frequencies in the first run's training. Without `--classes` they are sixteen, evenly spread from the most
frequent to the rarest.
"""

import argparse
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cliptail_jax.concepts.vocabulary import normalized_name
from cliptail_jax.errors import UserError, did_you_mean
from cliptail_jax.figures.feature_maps import spread_classes
from cliptail_jax.figures.sheet import Entry, read_sheet
from cliptail_jax.files import work_path
from cliptail_jax.plotting.style import legend_below, styles
from cliptail_jax.runs import FinishedRun

CLASSES = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=work_path, required=True, help="the sheet: run, label; set where wanted")
    parser.add_argument("--classes", nargs="+", help="names of the classes")


def draw(options: argparse.Namespace) -> Figure:
    return draw_example_classes(read_sheet(options.runs, ("run", "label")), options.classes)


def draw_example_classes(entries: Sequence[Entry], wanted: Sequence[str] | None) -> Figure:
    """The classes from frequent to rare."""
    runs = [entry.evaluated() for entry in entries]
    first = runs[0]
    if wanted:
        chosen = np.array([place_of(name, first, entries[0]) for name in wanted])
        chosen = chosen[np.argsort(-first.frequency[chosen], kind="stable")]
    else:
        chosen = spread_classes(first.frequency, CLASSES)
    names = [first.class_names[c] for c in chosen]
    figure = Figure(figsize=(max(6.0, 0.55 * len(names) + 2), 4.8), layout="constrained")
    bars = figure.subplots()
    places = range(len(names))
    bars.bar(places, first.frequency[chosen], color="0.85", label="frequency")
    bars.set_yscale("symlog", linthresh=1, linscale=0.3)
    bars.set_ylabel("class frequency")
    bars.set_xticks(places, names, rotation=40, ha="right", rotation_mode="anchor")
    lines = bars.twinx()
    looks = styles(entry["label"] for entry in entries)
    for entry, of_entry in zip(entries, runs):
        ids = [place_of(name, of_entry, entry) for name in names]
        lines.plot(places, 100 * of_entry.accuracy[ids], **looks[entry["label"]], markersize=6, label=entry["label"])
    lines.set_ylabel("accuracy (%)")
    lines.set_ylim(-3, 103)
    legend_below(figure)
    return figure


def place_of(name: str, evaluated: FinishedRun, entry: Entry) -> int:
    """The id of a class. Raises UserError where the run has it not."""
    known = [normalized_name(of_class) for of_class in evaluated.class_names]
    if normalized_name(name) not in known:
        hint = did_you_mean(name, evaluated.class_names)
        raise UserError(f"{entry.where}: {entry.run} has no class '{name}'{hint}")
    return known.index(normalized_name(name))
