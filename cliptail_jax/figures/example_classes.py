"""The frequency of some classes, as bars, and the accuracy of each run on them, as lines (figure 13).

    cliptail figures example_classes --runs runs.tsv --classes goldfish tench --output example_classes

The sheet:

    run        label
    sl         SL
    clip       CLIP

The bars are frequencies in the training data of the first run. By default there are sixteen classes, evenly spaced from
the most frequent to the rarest.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from matplotlib.figure import Figure

from cliptail_jax.figures.parts.classes import spread_classes
from cliptail_jax.figures.parts.sheet import Entry
from cliptail_jax.formats.class_names import normalized_name
from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.report.style import legend_below, styles

COLUMNS = ("run", "label")
OPTIONS = {"--classes": {"nargs": "+", "help": "names of the classes"}}
CLASSES = 16


def draw(entries: Sequence[Entry], classes: Sequence[str] | None = None) -> Figure:
    """Bars and lines of the named classes, from frequent to rare."""
    runs = [entry.evaluated() for entry in entries]
    first = runs[0]
    if classes:
        ids = class_ids(classes, first.class_names, entries[0])
        ids = ids[np.argsort(-first.frequency[ids], kind="stable")]
    else:
        ids = spread_classes(first.frequency, CLASSES)
    names = [first.class_names[c] for c in ids]
    figure = Figure(figsize=(max(6.0, 0.55 * len(names) + 2), 4.8), layout="constrained")
    bars = figure.subplots()
    places = range(len(names))
    bars.bar(places, first.frequency[ids], color="0.85", label="frequency")
    bars.set_yscale("symlog", linthresh=1, linscale=0.3)
    bars.set_ylabel("class frequency")
    bars.set_xticks(places, names, rotation=40, ha="right", rotation_mode="anchor")
    lines = bars.twinx()
    looks = styles(entry["label"] for entry in entries)
    for entry, run in zip(entries, runs):
        accuracy = 100 * run.accuracy[class_ids(names, run.class_names, entry)]
        lines.plot(places, accuracy, **looks[entry["label"]], markersize=6, label=entry["label"])
    lines.set_ylabel("accuracy (%)")
    lines.set_ylim(-3, 103)
    legend_below(figure)
    return figure


def class_ids(names: Sequence[str], class_names: Sequence[str], entry: Entry) -> Int[np.ndarray, " class"]:
    """The ids of the named classes of the entry's run. Raises UserError if it lacks one."""
    normalized_names = [normalized_name(name) for name in class_names]
    for name in names:
        if normalized_name(name) not in normalized_names:
            hint = did_you_mean(name, class_names)
            raise UserError(f"{entry.location}: {entry.run} has no class '{name}'{hint}")
    exact = {name: number for number, name in enumerate(class_names)}
    return np.array([exact.get(name, normalized_names.index(normalized_name(name))) for name in names])
