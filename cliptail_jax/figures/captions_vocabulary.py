"""What captions and vocabulary size change: correlations, accuracy and neural collapse, run by run (figure 3).

    python -m cliptail_jax.figures captions_vocabulary --runs runs.tsv --output captions_vocabulary

The sheet:

    run          group              head     label
    clip_title   CLIP by captions   random   title
    clip_full    CLIP by captions   random   all text
    sl_50        SL by vocabulary   frozen   50
    sl_1000      SL by vocabulary   frozen   1,000

Points of a `group` have a colour. They are filled where the `head` (the text tower, of CLIP) is frozen, and their trend
line by least squares is solid; else they are hollow, and it is dashed. A trend takes three points. `label` may be left out,
and one that has no room is.
`--plain` leaves out the NC1–NC2 plane, for runs that were evaluated without eval.neural_collapse.
"""

import argparse
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cliptail_jax.errors import UserError
from cliptail_jax.figures.planes import draw_trend, name_axes, place_labels
from cliptail_jax.figures.sheet import Entry, read_sheet
from cliptail_jax.files import work_path
from cliptail_jax.plotting.style import legend_below, styles

TRENDS = {"random": "--", "frozen": "-"}  # the lines of each kind of head
PLANES = (("corr_pred", "corr_acc"), ("top1", "corr_acc"), ("nc1", "nc2_mean"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs", type=work_path, required=True, help="the sheet: run, group, head; set and label where wanted"
    )
    parser.add_argument("--plain", action="store_true", help="without the NC1–NC2 plane")


def draw(options: argparse.Namespace) -> Figure:
    entries = read_sheet(options.runs, ("run", "group", "head"))
    return draw_captions_vocabulary(entries, PLANES[:2] if options.plain else PLANES)


def draw_captions_vocabulary(entries: Sequence[Entry], planes: Sequence[tuple[str, str]]) -> Figure:
    """A panel for each pair of measures, (x, y)."""
    for entry in entries:
        if entry["head"] not in TRENDS:
            raise UserError(f"{entry.where}: head is '{entry['head']}'; it is one of {', '.join(TRENDS)}")
    figure = Figure(figsize=(4.8 * len(planes), 5.2), layout="constrained")
    panels = figure.subplots(1, len(planes), squeeze=False)[0]
    labels = [draw_plane(axes, entries, x, y) for axes, (x, y) in zip(panels, planes)]
    legend_below(figure, columns=6)
    figure.draw_without_rendering()  # labels need the axes where they will be
    for axes, points in zip(panels, labels):
        place_labels(axes, points)
    return figure


def draw_plane(axes: Axes, entries: Sequence[Entry], x: str, y: str) -> list[tuple[float, float, str]]:
    """Draws points and trends; returns where labels belong."""
    points = [(entry, entry.measure(x).value, entry.measure(y).value) for entry in entries]
    trends = []
    for group, look in styles(entry["group"] for entry in entries).items():
        for head in TRENDS:
            of_group = [(px, py) for entry, px, py in points if (entry["group"], entry["head"]) == (group, head)]
            if not of_group:
                continue
            xs, ys = zip(*of_group)
            colour = look["color"]
            axes.plot(
                xs,
                ys,
                marker=look["marker"],
                linestyle="",
                color=colour,
                mfc=colour if head == "frozen" else "white",
                label=f"{group}, {head}",
            )
            if draw_trend(axes, xs, ys, color=colour, linestyle=TRENDS[head]):
                trends.append(head)
    for head in dict.fromkeys(trends):
        axes.plot([], [], color="grey", linestyle=TRENDS[head], label=f"trend, {head}")
    name_axes(axes, x, y)
    return [(px, py, entry["label"]) for entry, px, py in points if entry["label"]]
