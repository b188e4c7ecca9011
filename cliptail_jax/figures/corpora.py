"""The bias of CLIP and SL models of each corpus, and each model in the plane of both correlations (figure 2).

    cliptail figures corpora --runs models.tsv --output corpora

The sheet:

    run             set                        kind   corpus       backbone
    vit_b_32        imagenet+imagenet_v2       CLIP   laion400m    ViT-B/32
    rn50_cc12m      imagenet+imagenet_v2       CLIP   cc12m        RN50
    sl_incaps       imagenet+imagenet_v2       SL     IN-Captions  RN50

The panels at the top show, by corpus and on the first set of the sheet, the correlations of class frequency with accuracy
and with predictions, the slopes of both, and the correlations of neural collapse with accuracy and with frequency. Points
are models, and bars their means. At the bottom is a plane for each set: a point's size is the accuracy, its marker the
backbone and its colour the corpus; SL is hollow. `--plain` leaves out neural collapse, for models that were evaluated
without eval.neural_collapse.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cliptail_jax.figures.parts.planes import label_axes
from cliptail_jax.figures.parts.sheet import Entry
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.measures import label_of
from cliptail_jax.report.style import COLOURS, MARKERS, add_grid, styles

Marker = str | tuple[int, int, int]  # of Matplotlib

COLUMNS = ("run", "kind", "corpus", "backbone")
OPTIONS = {"--plain": {"action": "store_true", "help": "leave out neural collapse"}}
KINDS = {kind: look["color"] for kind, look in styles(("CLIP", "SL")).items()}
CORPUS_COLOURS = [colour for colour in COLOURS if colour not in KINDS.values()]  # where CLIP and SL differ by filling
# The measures of the panels by corpus, row by row.
PLAIN = (("corr_acc", "corr_pred"), ("slope_acc", "slope_pred"))
MEASURES = (
    ("corr_acc", "slope_acc", "corr_nc1_acc", "corr_nc2_mean_acc"),
    ("corr_pred", "slope_pred", "corr_nc1", "corr_nc2_mean"),
)
WIDTH = 0.36  # of a bar, for a distance of 1 between corpora


def draw(entries: Sequence[Entry], plain: bool = False) -> Figure:
    """Panels of the MEASURES by corpus, or of the PLAIN ones, and a plane for each set."""
    measures = PLAIN if plain else MEASURES
    sets: dict[str, list[Entry]] = {}
    for entry in entries:
        entry.check_one_of("kind", KINDS)
        sets.setdefault(entry.set_name, []).append(entry)
    colours = distinct("corpus", entries, CORPUS_COLOURS)
    markers = distinct("backbone", entries, MARKERS)
    legend = keys(colours, markers)
    heights = 2.6 * len(measures) + 0.3, max(4.9, 0.09 * len(legend) + 0.4)
    figure = Figure(figsize=(12, sum(heights)), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=heights)
    panels = top.subplots(len(measures), len(measures[0]), squeeze=False, sharex=True)
    for axes, measure in zip(panels.flat, (measure for row in measures for measure in row)):
        draw_by_corpus(axes, next(iter(sets.values())), measure)
    kinds = [kind for kind in KINDS if any(entry["kind"] == kind for entry in entries)]
    handles = [panels.flat[0].bar(0, 0, color=KINDS[kind], alpha=0.35) for kind in kinds]
    top.legend(handles, kinds, loc="outside lower center", ncols=len(kinds), frameon=False)
    planes = bottom.subplots(1, len(sets), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (name, set_entries) in zip(planes, sets.items()):
        draw_plane(axes, set_entries, colours, markers)
        axes.set_title(name, fontsize=10)
    bottom.legend(handles=legend, loc="outside right upper", ncols=2, frameon=False, fontsize=8)
    return figure


def distinct(column: str, entries: Sequence[Entry], looks: Sequence[Marker]) -> dict[str, Marker]:
    """A look for each distinct cell of a column. Raises UserError if there are not enough looks."""
    names = list(dict.fromkeys(entry[column] for entry in entries))
    if len(names) > len(looks):
        raise UserError(
            f"{entries[0].location}: the sheet has {len(names)} different cells under '{column}', but the figure has "
            f"{len(looks)} looks: draw fewer, or give several the same name, such as that of a family"
        )
    return dict(zip(names, looks))


def draw_by_corpus(axes: Axes, entries: Sequence[Entry], measure: str) -> None:
    """Draw a dot for each run of a corpus and kind, and a bar for their mean."""
    corpora = list(dict.fromkeys(entry["corpus"] for entry in entries))
    for place, corpus in enumerate(corpora):
        corpus_entries = [entry for entry in entries if entry["corpus"] == corpus]
        kinds = [kind for kind in KINDS if any(entry["kind"] == kind for entry in corpus_entries)]
        for i, kind in enumerate(kinds):
            values = np.array([e.measure(measure).value for e in corpus_entries if e["kind"] == kind])
            values = values[~np.isnan(values)]
            middle = place + WIDTH * (i - (len(kinds) - 1) / 2)
            if len(values):
                axes.bar(middle, values.mean(), WIDTH, color=KINDS[kind], alpha=0.35)
            spread = WIDTH * (np.arange(1, len(values) + 1) / (len(values) + 1) - 0.5)
            axes.plot(middle + spread, values, "o", color=KINDS[kind], markersize=3.5)
    axes.set_xlim(-0.6, len(corpora) - 0.4)
    axes.axhline(0, color="grey", linewidth=0.8)
    axes.set_xticks(range(len(corpora)), corpora, rotation=35, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_ylabel(label_of(measure), fontsize=9)
    add_grid(axes)


def draw_plane(axes: Axes, entries: Sequence[Entry], colours: Mapping[str, str], markers: Mapping[str, Marker]) -> None:
    """Runs at (corr_pred, corr_acc). More accurate ones are larger; CLIP is filled, SL hollow."""
    for entry in entries:
        colour = colours[entry["corpus"]]
        accuracy = entry.measure("top1").value
        x, y = entry.measure("corr_pred").value, entry.measure("corr_acc").value
        axes.scatter(
            x, y, area(accuracy), c=colour if entry["kind"] == "CLIP" else "none", edgecolors=colour,
            marker=markers[entry["backbone"]], alpha=0.75, linewidths=1.3,
        )  # fmt: skip
    label_axes(axes, "corr_pred", "corr_acc")


def area(accuracy: float) -> float:
    """The area of a marker in square points, for an accuracy in percent."""
    return 15 + 2 * accuracy


def keys(colours: Mapping[str, str], markers: Mapping[str, Marker]) -> list[Line2D]:
    """The legend: a column of colours, sizes and fillings, and a column of markers, equally long."""
    grey = dict(linestyle="", color="grey")
    first = [
        heading("corpus"),
        *(Line2D([], [], marker="s", linestyle="", color=colour, label=name) for name, colour in colours.items()),
        heading("accuracy"),
        *(Line2D([], [], marker="o", markersize=area(a) ** 0.5, **grey, label=f"{a} %") for a in (20, 50, 80)),
        heading("training"),
        Line2D([], [], marker="o", **grey, label="CLIP"),
        Line2D([], [], marker="o", mfc="none", **grey, label="SL"),
    ]
    second = [
        heading("backbone"),
        *(Line2D([], [], marker=marker, **grey, label=name) for name, marker in markers.items()),
    ]
    shorter = min(first, second, key=len)
    shorter += [Line2D([], [], linestyle="", label=" ")] * abs(len(first) - len(second))
    return first + second


def heading(word: str) -> Line2D:
    """A heading in the legend, in bold."""
    return Line2D([], [], linestyle="", label=f"$\\bf{{{word}}}$")
