"""The figure of a study's claims: the difference of each claim with its 95 % interval, and the differences of the seeds."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cliptail_jax.plotting.style import COLOURS, add_grid
from cliptail_jax.study.claims import ClaimResult
from cliptail_jax.study.statistics import STATISTICS

# Colours and markers of the verdicts.
LOOKS = {"supported": (COLOURS[0], "o"), "inconclusive": ("#777777", "s"), "not supported": (COLOURS[1], "D")}


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
        looks.append(Line2D([], [], color="black", marker="|", linestyle="", label="one seed"))
    figure.legend(handles=looks, loc="outside lower center", ncols=len(looks), frameon=False, fontsize=9)
    return figure


def draw_differences(axes: Axes, results: Sequence[ClaimResult]) -> None:
    for place, result in enumerate(results):
        colour, marker = LOOKS[result.verdict]
        axes.plot(result.difference[1:], [place, place], color=colour, linewidth=2)
        axes.plot(result.difference.value, place, color=colour, marker=marker, markersize=7)
        if len(result.by_seed) > 1:
            axes.plot([a - b for a, b in result.by_seed], [place] * len(result.by_seed), "k|", markersize=7)
    axes.axvline(0, color="black", linewidth=0.8)
    names = [f"{result.higher} − {result.lower}: {result.statistic}" for result in results]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    add_grid(axes)
