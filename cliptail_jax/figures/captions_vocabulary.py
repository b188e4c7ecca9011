"""How captions and vocabulary size change correlations, slopes, accuracy and neural collapse, run by run (figure 3).

    cliptail figures captions_vocabulary --runs runs.tsv --output captions_vocabulary

The sheet:

    run          group              head     label
    clip_title   CLIP by captions   random   title
    clip_full    CLIP by captions   random   all text
    sl_50        SL by vocabulary   frozen   50
    sl_1000      SL by vocabulary   frozen   1,000

Each `group` has a colour. If the `head` (for CLIP, the text tower) is frozen, points are filled and the least-squares
trend line is solid; otherwise points are hollow and the line is dashed. A trend needs three points. The column `label`
is optional; labels without room are left out. `--plain` leaves out the NC1–NC2 plane, for runs that were evaluated
without eval.neural_collapse.
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cliptail_jax.figures.parts.planes import draw_trend, label_axes, place_labels
from cliptail_jax.figures.parts.sheet import Entry
from cliptail_jax.report.style import legend_below, styles

COLUMNS = ("run", "group", "head")
OPTIONS = {"--plain": {"action": "store_true", "help": "leave out the NC1–NC2 plane"}}
TREND_LINES = {"random": "--", "frozen": "-"}  # by head
PLANES = (("corr_pred", "corr_acc"), ("slope_pred", "slope_acc"), ("top1", "corr_acc"), ("nc1", "nc2_mean"))


def draw(entries: Sequence[Entry], plain: bool = False) -> Figure:
    """A panel for each of the PLANES."""
    planes = PLANES[:-1] if plain else PLANES
    for entry in entries:
        entry.check_one_of("head", TREND_LINES)
    figure = Figure(figsize=(4.8 * len(planes), 5.2), layout="constrained")
    panels = figure.subplots(1, len(planes), squeeze=False)[0]
    labels = [draw_plane(axes, entries, x, y) for axes, (x, y) in zip(panels, planes)]
    legend_below(figure, columns=6)
    figure.draw_without_rendering()  # labels are placed in the final layout
    for axes, points in zip(panels, labels):
        place_labels(axes, points)
    return figure


def draw_plane(axes: Axes, entries: Sequence[Entry], x: str, y: str) -> list[tuple[float, float, str]]:
    """Draw points and trends. Returns the labels with the positions of their points."""
    points = [(entry, entry.measure(x).value, entry.measure(y).value) for entry in entries]
    trends = []
    for group, look in styles(entry["group"] for entry in entries).items():
        for head, line in TREND_LINES.items():
            group_points = [(px, py) for entry, px, py in points if (entry["group"], entry["head"]) == (group, head)]
            if not group_points:
                continue
            xs, ys = zip(*group_points)
            colour = look["color"]
            face = colour if head == "frozen" else "white"
            dots = dict(marker=look["marker"], linestyle="", color=colour, mfc=face)
            axes.plot(xs, ys, **dots, label=f"{group}, {head}")
            if draw_trend(axes, xs, ys, color=colour, linestyle=line):
                trends.append(head)
    for head in dict.fromkeys(trends):
        axes.plot([], [], color="grey", linestyle=TREND_LINES[head], label=f"trend, {head}")
    label_axes(axes, x, y)
    return [(px, py, entry["label"]) for entry, px, py in points if entry["label"]]
