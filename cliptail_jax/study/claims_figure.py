"""What a study claims, at a glance: the difference of each claim with its 95 % interval, and that of each seed."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cliptail_jax.plotting.style import COLOURS, add_grid
from cliptail_jax.study.claims import Judgement

# The verdicts' colour and marker.
LOOKS = {"supported": (COLOURS[0], "o"), "inconclusive": ("#777777", "s"), "not supported": (COLOURS[1], "D")}
PANELS = {"correlation": "difference of correlations", "accuracy": "difference of accuracies (points)"}


def draw_claims(judgements: Sequence[Judgement], title: str) -> Figure:
    """A panel for correlations, one for accuracies. Every claim has a difference."""
    panels = {unit: [j for j in judgements if unit_of(j) == unit] for unit in PANELS}
    panels = {unit: of_unit for unit, of_unit in panels.items() if of_unit}
    rows = [len(of_unit) for of_unit in panels.values()]
    figure = Figure(figsize=(10, 1.6 + 0.3 * sum(rows) + 0.6 * len(rows)), layout="constrained")
    for axes, (unit, of_unit) in zip(
        figure.subplots(len(rows), 1, height_ratios=rows, squeeze=False)[:, 0], panels.items()
    ):
        draw_differences(axes, of_unit)
        axes.set_xlabel(PANELS[unit])
    figure.suptitle(title, fontsize=12)
    looks = [Line2D([], [], color=colour, marker=marker, label=name) for name, (colour, marker) in LOOKS.items()]
    if any(len(j.by_seed) > 1 for j in judgements):
        looks.append(Line2D([], [], color="black", marker="|", linestyle="", label="one seed"))
    figure.legend(handles=looks, loc="outside lower center", ncols=len(looks), frameon=False, fontsize=9)
    return figure


def unit_of(judgement: Judgement) -> str:
    return "correlation" if judgement.statistic.startswith("corr") else "accuracy"


def draw_differences(axes: Axes, judgements: Sequence[Judgement]) -> None:
    for place, j in enumerate(judgements):
        colour, marker = LOOKS[j.verdict]
        axes.plot(j.difference[1:], [place, place], color=colour, linewidth=2)
        axes.plot(j.difference.value, place, color=colour, marker=marker, markersize=7)
        if len(j.by_seed) > 1:
            axes.plot([a - b for a, b in j.by_seed], [place] * len(j.by_seed), "k|", markersize=7)
    axes.axvline(0, color="black", linewidth=0.8)
    names = [f"{j.higher} − {j.lower}: {j.statistic}" for j in judgements]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    add_grid(axes)
