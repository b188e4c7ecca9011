"""The figure of a study's claims: each difference with its 95 % interval, and the differences of seeds."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from cliptail_jax.plotting.style import add_grid
from cliptail_jax.report.forest import VERDICTS, Row, forest
from cliptail_jax.results.claims import ClaimResult


def draw_claims(claims: Sequence[ClaimResult], title: str) -> Figure:
    """A panel for each unit, with a row for each claim. All must have been tested."""
    groups = forest({"": claims})
    numbers = [len(group.rows) for group in groups]
    figure = Figure(figsize=(10, 1.6 + 0.3 * sum(numbers) + 0.6 * len(groups)), layout="constrained")
    for axes, group in zip(figure.subplots(len(groups), 1, height_ratios=numbers, squeeze=False)[:, 0], groups):
        draw_rows(axes, group.rows)
        axes.set_xlabel(f"difference of {group.unit}")
    figure.suptitle(title, fontsize=12)
    rows = [row for group in groups for row in group.rows]
    looks = [Line2D([], [], color=look.colour, marker=look.marker, label=name) for name, look in VERDICTS.items()]
    if any(row.seeds for row in rows):
        looks.append(Line2D([], [], color="black", marker="|", linestyle="", label="one seed or pair"))
    if any(row.claim.corrected != row.claim.verdict for row in rows):
        hollow = dict(color="black", marker="o", markerfacecolor="white", linestyle="")
        looks.append(Line2D([], [], **hollow, label="inconclusive if corrected for the number of claims"))
    if any(row.claim.margin for row in rows):
        looks.append(Patch(color="#eeeeee", label="margin: no effect"))
    figure.legend(handles=looks, loc="outside lower center", ncols=min(len(looks), 5), frameon=False, fontsize=9)
    return figure


def draw_rows(axes: Axes, rows: Sequence[Row]) -> None:
    for place, row in enumerate(rows):
        look, (value, low, high) = VERDICTS[row.claim.verdict], row.interval
        axes.barh(place, 2 * row.claim.margin, left=-row.claim.margin, height=0.8, color="#eeeeee", zorder=0)
        axes.plot([low, high], [place, place], color=look.colour, linewidth=2)
        # Hollow where the verdict changes when it is corrected for the number of claims.
        face = look.colour if row.claim.corrected == row.claim.verdict else "white"
        axes.plot(value, place, color=look.colour, marker=look.marker, markersize=7, markerfacecolor=face)
        axes.plot(row.seeds, [place] * len(row.seeds), "k|", markersize=7)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [f"{row.claim.compared}: {row.claim.measured}" for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    add_grid(axes)
