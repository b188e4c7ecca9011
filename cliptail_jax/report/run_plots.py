"""The plots of whole runs: their measures, their groups of classes, their course in training, and their calibration."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from bokeh.models import (
    CDSView,
    ColumnDataSource,
    FactorRange,
    HoverTool,
    IndexFilter,
    Legend,
    LegendItem,
    Line,
    Scatter,
    Segment,
    Span,
)

from cliptail_jax.metrics.groups import evenly
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.metrics.retrieval import by_decile
from cliptail_jax.report.plot_parts import Plots, draw, filled
from cliptail_jax.results.run import Run

CurvePoint = tuple[float, float | None]  # of a learning curve: the step, and a value if there is one
MAX_CURVE_POINTS = 100  # of a learning curve
MARKERS = 6  # of a learning curve: points with the marker of its kind
GROUPS = {"head": "triangle", "mid": "circle", "tail": "inverted_triangle"}
MIN_EXAMPLES = 20  # of a bin of confidence; others are left out of calibration


def draw_plane(plots: Plots, name: str, x: str, y: str) -> None:
    """A marker for each kind at two of its measures, with intervals where they are known.

    With top-1 as x, a line shows each kind's path to its marker, through the evaluations during the training.
    """
    x_label, y_label = (MEASURES[key].label.replace("\n", " ") for key in (x, y))
    kinds = [kind for kind in plots.comparison.kinds if not math.isnan(kind.value(x) + kind.value(y))]
    paths = {kind.name: kind.path(y) if x == "top1" else [] for kind in kinds}
    has_paths = any(len(path) > 1 for path in paths.values())
    if len(kinds) < 2 and not has_paths:
        return
    description = f"{x_label} against {y_label}: a marker for each kind of runs. The table of runs has the numbers."
    plots.has_paths |= has_paths
    if has_paths:
        description += " A line shows the path of a kind, by the evaluations during its training that are above chance."
    plot = plots.add_figure(name, description, height=360, x_axis_label=x_label, y_axis_label=y_label)
    markers = []
    for kind in kinds:
        (left, right), (low, high) = (kind.interval(key) or (kind.value(key),) * 2 for key in (x, y))
        source = ColumnDataSource(
            dict(
                kind=[kind.name], x=[kind.value(x)], y=[kind.value(y)], left=[left], right=[right], low=[low],
                high=[high], top1=[kind.mean("top1")],
            )
        )  # fmt: skip
        for x0, y0, x1, y1 in (("left", "y", "right", "y"), ("x", "low", "x", "high")):
            ends = dict(x0=x0, y0=y0, x1=x1, y1=y1)
            plots.note_kind(kind, draw(plot, Segment, source, **ends, line_color=kind.look.colour, line_width=1.5))
        markers.append(draw(plot, Scatter, source, size=13, **filled(kind), **plots.marker(kind)))
        plots.note_kind(kind, markers[-1])
        if paths[kind.name]:
            look = dict(line_color=kind.look.colour, line_dash=kind.look.dash, line_width=1.5, line_alpha=0.6)
            path = dict(zip("xy", zip(*paths[kind.name])))
            plots.note_kind(kind, draw(plot, Line, path, **look))
    plot.x_range.only_visible = plot.y_range.only_visible = True
    plot.add_layout(Span(location=0, dimension="width", line_width=1))
    tooltips = [("runs", "@kind"), ("top-1", "@top1{0.0} %"), (x, "@x{0.00} [@left{0.00}, @right{0.00}]")]
    tooltips.append((y, "@y{0.00} [@low{0.00}, @high{0.00}]"))
    if x == "top1":
        tooltips.pop(2)
    plot.add_tools(HoverTool(renderers=markers, tooltips=tooltips))


def draw_groups(plots: Plots) -> None:
    """A row for each kind, with its accuracies on head, mid and tail."""
    kinds = [kind for kind in plots.comparison.kinds if not math.isnan(kind.mean("head") + kind.mean("tail"))]
    if not kinds:
        return
    description = (
        "The accuracies of each kind of runs on the head, mid and tail classes. The table of runs has the numbers."
    )
    plots.rows = FactorRange(factors=[kind.name for kind in reversed(kinds)])
    plot = plots.add_figure("groups", description, height=110 + 26 * len(kinds), y_range=plots.rows)
    renderers = {}
    for kind in kinds:
        values = {group: kind.mean(group) for group in GROUPS}
        ends = dict(x0=[min(values.values())], x1=[max(values.values())], y0=[kind.name], y1=[kind.name])
        line = draw(plot, Segment, ends, line_color=kind.look.colour, line_width=2)
        plots.note_colour(kind, line.glyph)
        for group, shape in GROUPS.items():
            point = dict(x=[values[group]], y=[kind.name], group=[group])
            marker = draw(plot, Scatter, point, marker=shape, size=11, **filled(kind))
            plots.note_colour(kind, marker.glyph)
            renderers.setdefault(group, marker)
    plot.add_layout(
        Legend(
            items=[LegendItem(label=group, renderers=[marker]) for group, marker in renderers.items()],
            orientation="horizontal",
        ),
        "above",
    )
    plot.xaxis.axis_label = "accuracy (%)"
    plot.add_tools(HoverTool(tooltips=[("runs", "@y"), ("@group", "@x{0.0} %")]))


def draw_curve(
    plots: Plots,
    name: str,
    label: str,
    points_of: Callable[[Run], Sequence[CurvePoint]],
    x_label: str = "training step",
) -> None:
    """A line for each run, thinned out to MAX_CURVE_POINTS points, with the marker of its kind at some of them, or at the only one."""
    curves = []
    for number, kind in enumerate(plots.comparison.kinds):
        for run in kind.runs:
            points = [(x, y) for x, y in points_of(run) if y is not None and math.isfinite(y)]
            if points:
                curves.append((number, kind, run, [points[i] for i in evenly(len(points), MAX_CURVE_POINTS)]))
    if not curves:
        return
    plot = plots.add_figure(name, f"{label} by {x_label}, a line with markers for each run.", height=340)
    lines = []
    for number, kind, run, points in curves:
        steps, values = (np.array(column, np.float32) for column in zip(*points))
        source = ColumnDataSource(dict(x=steps, y=values))
        line = draw(plot, Line, source, line_color=kind.look.colour, line_width=1.8, line_dash=kind.look.dash)
        markers = draw(plot, Scatter, source, size=9, **filled(kind), **plots.marker(kind))
        markers.view = CDSView(filter=IndexFilter(marker_places(len(points), number / len(plots.comparison.kinds))))
        line.name = markers.name = f"{kind.name} {run.seed}".strip()
        lines.append(line if len(points) > 1 else markers)
        plots.note_kind(kind, line, markers)
    plot.xaxis.axis_label, plot.yaxis.axis_label = x_label, label
    plot.x_range.only_visible = plot.y_range.only_visible = True
    tooltips = [("run", "$name"), (x_label, "@x{0,0}"), (label, "@y{0.000}")]
    plot.add_tools(HoverTool(renderers=lines, tooltips=tooltips, line_policy="nearest"))


def draw_calibration(plots: Plots) -> None:
    """Mean confidence against accuracy in bins of confidence, over the runs of a kind."""
    kinds = []
    for kind in plots.comparison.kinds:
        sums_of_runs = [e.results.calibration for e in kind.evaluations if e.results.calibration]
        if sums_of_runs:
            kinds.append((kind, np.sum([[part.sum(axis=0) for part in sums] for sums in sums_of_runs], axis=0)))
    if not kinds:
        return
    description = (
        "Confidence against accuracy, a line for each kind of runs: above the dotted line, it is not confident enough."
    )
    plot = plots.add_figure("calibration", description, height=380)
    draw(plot, Line, dict(x=[0, 100], y=[0, 100]), line_dash="dotted", line_color="#888888", line_width=2)
    markers = []
    for kind, (examples, confidence, correct) in kinds:
        is_large = examples >= MIN_EXAMPLES
        source = ColumnDataSource(
            dict(
                x=100 * confidence[is_large] / examples[is_large],
                y=100 * correct[is_large] / examples[is_large],
                examples=examples[is_large],
                kind=[kind.name] * int(is_large.sum()),
            )
        )
        line = draw(plot, Line, source, line_color=kind.look.colour, line_width=1.8, line_dash=kind.look.dash)
        markers.append(draw(plot, Scatter, source, size=8, **filled(kind), **plots.marker(kind)))
        plots.note_kind(kind, line, markers[-1])
    plot.xaxis.axis_label, plot.yaxis.axis_label = "confidence (%)", "accuracy (%)"
    tooltips = [("runs", "@kind"), ("confidence", "@x{0.0} %"), ("accuracy", "@y{0.0} %")]
    plot.add_tools(HoverTool(renderers=markers, tooltips=[*tooltips, ("examples", "@examples{0,0}")]))


def marker_places(length: int, offset: float) -> list[int]:
    """MARKERS of the places 0 to length - 1, evenly spread. Another offset in [0, 1) gives places between them."""
    if length <= MARKERS:
        return list(range(length))
    return [int((number + offset) * length / MARKERS) for number in range(MARKERS)]


def recall_by_decile(run: Run) -> list[CurvePoint]:
    """Decile, from 1 for the rarest words, and text-to-image recall at 5; nothing without frequencies of words."""
    if run.retrieval is None or run.retrieval.results.word_frequency is None:
        return []
    return list(enumerate(by_decile(run.retrieval.results)["decile_r5"].tolist(), 1))
