"""The bias of models of each corpus on fine-grained sets and other sets with their own classes (figure 12).

    cliptail figures fine_grained --runs models.tsv --output fine_grained

The sheet:

    run          set                        corpus
    rn50_cc12m   cub+food101+pets           cc12m
    vit_b_32     cub+food101+pets           laion400m

Each model was evaluated with the class frequencies of its corpus (--config.eval.class_frequency=published). Points are
models, and horizontal lines the means of a corpus's models.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cliptail_jax.figures.parts.sheet import Entry
from cliptail_jax.metrics.measures import label_of
from cliptail_jax.report.style import add_grid, legend_below, styles

COLUMNS = ("run", "set", "corpus")
MEASURES = ("corr_acc", "corr_pred", "slope_acc", "slope_pred")


def draw(entries: Sequence[Entry]) -> Figure:
    """A panel for each correlation and slope, in which the runs on each set are grouped by corpus."""
    sets = list(dict.fromkeys(entry["set"] for entry in entries))
    figure = Figure(figsize=(max(6, 1.0 * len(sets) + 2), 3.0 * len(MEASURES) + 0.4), layout="constrained")
    panels = figure.subplots(len(MEASURES), 1, sharex=True)
    for axes, measure in zip(panels, MEASURES):
        draw_by_set(axes, entries, sets, measure)
    panels[-1].set_xticks(range(len(sets)), sets)
    legend_below(figure)
    return figure


def draw_by_set(axes: Axes, entries: Sequence[Entry], sets: Sequence[str], measure: str) -> None:
    looks = styles(entry["corpus"] for entry in entries)
    step = 0.8 / len(looks)
    for i, (corpus, look) in enumerate(looks.items()):
        dots = {**look, "linestyle": ""}
        for place, set_name in enumerate(sets):
            group = [e for e in entries if (e["corpus"], e["set"]) == (corpus, set_name)]
            values = np.array([e.measure(measure).value for e in group])
            values = values[~np.isnan(values)]
            middle = place + step * (i - (len(looks) - 1) / 2)
            axes.plot(np.full(len(values), middle), values, **dots, markersize=5, alpha=0.7)
            if len(values):
                axes.hlines(values.mean(), middle - 0.45 * step, middle + 0.45 * step, color=look["color"], linewidth=2)
        axes.plot([], [], **dots, label=corpus)
    axes.set_xlim(-0.5, len(sets) - 0.5)
    axes.axhline(0, color="grey", linewidth=0.8)
    for place in range(1, len(sets)):
        axes.axvline(place - 0.5, color="grey", linewidth=0.5, alpha=0.4)
    axes.set_ylabel(label_of(measure))
    add_grid(axes)
    axes.grid(visible=False, axis="x")
