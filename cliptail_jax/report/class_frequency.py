"""A plot of the class frequencies of corpora, from the most frequent class to the rarest."""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cliptail_jax.metrics.correlation import rank_correlation
from cliptail_jax.metrics.imbalance import gini, imbalance_ratio
from cliptail_jax.report.layout import Column, Table, table_of, text_rows
from cliptail_jax.report.style import add_grid, legend_below, line_style

GROUPS = 25  # of neighbouring classes: a curve goes through their means


def comparison(corpora: Mapping[str, Int[np.ndarray, " class"]]) -> Table:
    """The imbalance of each corpus, and Spearman's correlations with the numbered corpora.

    Hits are the sum of all counts: a caption that names two classes counts twice. max/min is over classes that occur.
    """
    columns = [
        Column("hits", "hits", "", ",", lambda name: corpora[name].sum()),
        Column("empty", "empty", "", ",", lambda name: np.sum(corpora[name] == 0)),
        Column("ratio", "max/min", "", ",.0f", lambda name: ratio_of_present(corpora[name])),
        Column("gini", "Gini", "", ".2f", lambda name: gini(corpora[name])),
        *(
            Column(
                f"rho_{name}",
                f"ρ {n}",
                format=".2f",
                value=lambda other, name=name: rank_correlation(corpora[other], corpora[name]),
            )
            for n, name in enumerate(corpora, 1)
        ),
    ]
    numbers = {name: number for number, name in enumerate(corpora, 1)}
    return table_of("corpus", columns, corpora, lambda name: f"{numbers[name]} {name}")


def ratio_of_present(frequency: Int[np.ndarray, " class"]) -> float:
    present = frequency[frequency > 0]
    return imbalance_ratio(present) if len(present) else math.nan


def draw_class_frequency(
    corpora: Mapping[str, Int[np.ndarray, " class"]], ranking: Int[np.ndarray, " class"]
) -> Figure:
    """Draw class frequencies, and a curve of their geometric means over neighbouring classes, in the order of `ranking`.

    A second panel has a linear axis: the share of each class in the hits of its corpus, from the corpus's most frequent
    class to its rarest. Below is the table of `comparison`.
    """
    rows = text_rows(comparison(corpora))
    table_width = sum(0.075 * max(map(len, column)) + 0.2 for column in zip(*rows))  # in inches
    figure = Figure(figsize=(max(9, table_width), 4.6 + 0.24 * len(rows)), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(4.6, 0.24 * len(rows)))
    logarithmic, linear = top.subplots(1, 2)
    order = np.argsort(-ranking, kind="stable")
    for i, (name, frequency) in enumerate(corpora.items()):
        look = line_style(i)
        draw_curve(logarithmic, frequency[order], look, name)
        share = np.sort(frequency)[::-1] / max(frequency.sum(), 1)
        linear.plot(np.arange(1, len(order) + 1), 100 * share, **look)
    logarithmic.set_yscale("log")
    logarithmic.set_ylabel("class frequency (records)")
    linear.set_ylabel("share of all hits (%)")
    logarithmic.set_xlabel("class, from the most frequent to the rarest")
    linear.set_xlabel("class, from the corpus's own most frequent")
    for axes in (logarithmic, linear):
        add_grid(axes)
    legend_below(top)
    draw_table(bottom.subplots(), rows)
    return figure


def draw_table(axes: Axes, rows: list[list[str]]) -> None:
    axes.axis("off")
    table = axes.table(rows, loc="center", edges="horizontal")
    for row in range(len(rows)):
        table[row, 0].set_text_props(horizontalalignment="left")
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    table.auto_set_column_width(list(range(len(rows[0]))))


def draw_curve(axes: Axes, frequency: Int[np.ndarray, " class"], look: Mapping[str, str], name: str) -> None:
    """Draw points and their means. Classes of frequency 0 have no place on a logarithmic axis and are left out."""
    rank = np.arange(1, len(frequency) + 1)
    present = frequency > 0
    axes.plot(rank[present], frequency[present], ".", color=look["color"], markersize=2, alpha=0.35)
    groups = np.array_split(rank[present] - 1, min(GROUPS, present.sum()) or 1)
    means = [np.exp(np.log(frequency[group]).mean()) if len(group) else np.nan for group in groups]
    axes.plot([group.mean() + 1 if len(group) else np.nan for group in groups], means, **look, label=name)
