"""The figure of a study's claims: the difference of each claim with its 95 % interval, and the differences of the seeds."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cliptail_jax.plotting.style import COLOURS, add_grid
from cliptail_jax.study.claims import ClaimResult
from cliptail_jax.study.statistics import STATISTICS

# Colours and markers of the verdicts.
LOOKS = {
    "supported": (COLOURS[0], "o"),
    "no effect": (COLOURS[2], "^"),
    "inconclusive": ("#777777", "s"),
    "contradicted": (COLOURS[1], "D"),
}


def draw_claims(results: Sequence[ClaimResult], title: str) -> Figure:
    """A panel for each unit, with a row for each claim. All claims must have been tested."""
    units = dict.fromkeys(statistic.unit for statistic in STATISTICS.values())
    panels = {unit: [result for result in results if STATISTICS[result.statistic].unit == unit] for unit in units}
    panels = {unit: of_unit for unit, of_unit in panels.items() if of_unit}
    rows = [len(of_unit) for of_unit in panels.values()]
    figure = Figure(figsize=(10, 1.6 + 0.3 * sum(rows) + 0.6 * len(rows)), layout="constrained")
    all_axes = figure.subplots(len(rows), 1, height_ratios=rows, squeeze=False)[:, 0]
    for axes, (unit, of_unit) in zip(all_axes, panels.items()):
        draw_differences(axes, of_unit)
        axes.set_xlabel(f"difference of {unit}")
    figure.suptitle(title, fontsize=12)
    looks = [Line2D([], [], color=colour, marker=marker, label=name) for name, (colour, marker) in LOOKS.items()]
    if any(len(result.by_seed) > 1 for result in results):
        looks.append(Line2D([], [], color="black", marker="|", linestyle="", label="one seed or pair"))
    if any(result.corrected != result.verdict for result in results):
        open_marker = dict(color="black", marker="o", markerfacecolor="white", linestyle="")
        looks.append(Line2D([], [], **open_marker, label="inconclusive if corrected for the number of claims"))
    if any(result.margin for result in results):
        looks.append(Patch(color="#eeeeee", label="margin: no effect"))
    figure.legend(handles=looks, loc="outside lower center", ncols=min(len(looks), 5), frameon=False, fontsize=9)
    return figure


def draw_differences(axes: Axes, results: Sequence[ClaimResult]) -> None:
    for place, result in enumerate(results):
        colour, marker = LOOKS[result.verdict]
        axes.barh(place, 2 * result.margin, left=-result.margin, height=0.8, color="#eeeeee", zorder=0)
        axes.plot([result.difference.low, result.difference.high], [place, place], color=colour, linewidth=2)
        # Open where the verdict does not stay when it is corrected for the number of claims.
        face = colour if result.corrected == result.verdict else "white"
        axes.plot(result.difference.value, place, color=colour, marker=marker, markersize=7, markerfacecolor=face)
        if len(result.by_seed) > 1:
            axes.plot([a - b for a, b in result.by_seed], [place] * len(result.by_seed), "k|", markersize=7)
    axes.axvline(0, color="black", linewidth=0.8)
    names = [f"{result.higher} − {result.lower}: {result.statistic}" for result in results]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    add_grid(axes)
