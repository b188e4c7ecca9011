"""The plots of accuracy and of predictions by class frequency: a marker for each class and run."""

import math

import numpy as np
from bokeh.models import (
    BoxSelectTool,
    CDSView,
    ColumnDataSource,
    CustomJSHover,
    CustomJSTicker,
    FixedTicker,
    GroupFilter,
    HoverTool,
    Line,
    PrintfTickFormatter,
    Range1d,
    Scatter,
    Span,
)

from cliptail_jax.host.text import UNDEFINED
from cliptail_jax.metrics.groups import group_means
from cliptail_jax.metrics.odds import TICKS, log_odds
from cliptail_jax.report.comparison import ComparedRuns, wrong_predictions
from cliptail_jax.report.odds import odds_curve
from cliptail_jax.report.plot_parts import Plots, draw, filled
from cliptail_jax.report.previews import Curve, preview

ZERO = 0.5  # the place of 0 training images or predictions on a logarithmic axis
SELECTING = "pan,box_zoom,wheel_zoom,box_select,lasso_select,tap,reset,save"
TOOLTIP_IMAGE = (
    'alt="" style="width: 48px; height: 48px; object-fit: contain; vertical-align: middle; margin-right: 3px"'
)
# Ticks of a logarithmic axis, whatever part of it is shown: 1, 2, 5, 10, ... over a few decades, powers of ten over more, and
# evenly spaced ones where 1, 2, 5, 10, ... would be fewer than three.
LOG_TICKS = """
const {start, end} = cb_data.range, [low, high] = [Math.min(start, end), Math.max(start, end)];
const decades = Math.log10(high / low), every = Math.ceil(decades / 8), ticks = [], even = [];
for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
  for (const digit of decades < 3.5 ? [1, 2, 5] : [1])
    if (digit > 1 || power % every === 0) ticks.push(Number(`${digit}e${power}`));
const shown = ticks.filter(tick => tick >= low && tick <= high);
if (shown.length > 2) return shown;
const power = Math.floor(Math.log10((high - low) / 4)), step = [1, 2, 5, 10].find(s => s * 10 ** power >= (high - low) / 4);
for (let n = Math.ceil(low / (step * 10 ** power)); n * step * 10 ** power <= high; n++)
  even.push(Number(`${n * step}e${power}`));
return even;
"""


def draw_by_frequency(plots: Plots, name: str, quantity: str) -> None:
    """A marker for each class and run, the means of groups of classes of similar frequency, and a line.

    Accuracy is on an axis of log-odds, and its line is the regression of `odds_acc`, with a cross at f50 if that
    is among the frequencies; the line of predictions goes through the means.
    """
    line = (
        "through these"
        if name == "predictions"
        else "by logistic regression, with a cross at f50 on an axis of log-odds"
    )
    description = (
        f"Class frequency, on a logarithmic axis, against {quantity}: a marker for each class and run, and for each kind of "
        f"runs the means of ten groups of classes, and a line {line}. The table of classes below has the numbers."
    )
    scale = "log" if name == "predictions" else "linear"
    options = {"x_range": plots.figures["accuracy"].x_range} if name == "predictions" else {}
    plot = plots.add_figure(name, description, SELECTING, height=440, x_axis_type="log", y_axis_type=scale, **options)
    y = "y" if name == "predictions" else "odds"
    number = sum(len(kind.by_seed) for kind in plots.comparison.evaluated_kinds) * plots.comparison.classes
    alpha = 0.55 if number < 500 else 0.2 if number < 2000 else 0.05
    markers, curves = [], []
    for kind in plots.comparison.evaluated_kinds:
        evaluations = [evaluation for evaluation in kind.by_seed.values() if evaluation.frequency is not None]
        if not evaluations:
            continue
        view = CDSView(filter=GroupFilter(column_name="kind", group=kind.name))
        renderer = plot.scatter(
            "x", y, source=plots.points, view=view, size=7, fill_color=kind.look.colour, line_color=kind.look.colour,
            fill_alpha=alpha, line_alpha=alpha, nonselection_alpha=0.04, selection_fill_alpha=0.9,
            **plots.marker(kind),
        )  # fmt: skip
        markers.append(renderer)
        plots.note_kind(kind, renderer)
        for glyph in (renderer.nonselection_glyph, renderer.selection_glyph):
            plots.note_colour(kind, glyph)
        frequency = np.concatenate([evaluation.frequency for evaluation in evaluations])
        value = np.concatenate([getattr(e, "share" if name == "predictions" else "accuracy") for e in evaluations])
        means = group_means(frequency, value)
        x, y_means = np.maximum(means[0], ZERO), 100 * means[1] if name == "predictions" else log_odds(means[1])
        line = (x, y_means) if name == "predictions" else odds_curve(frequency, kind.odds_line)
        curve = Curve(kind, (x, y_means), line)
        if name == "predictions":
            with np.errstate(divide="ignore"):  # of groups that are never predicted
                curve = Curve(kind, *[(x, np.log10(y_means))] * 2)
        curves.append(curve)
        lines = [
            draw(
                plot,
                Line,
                dict(zip("xy", line)),
                line_color=kind.look.colour,
                line_width=2.5,
                line_dash=kind.look.dash,
            ),
            draw(plot, Scatter, dict(x=x, y=y_means), size=9, **filled(kind), **plots.marker(kind)),
        ]
        if name == "accuracy" and math.isfinite(kind.value("f50")):
            at_one, per_decade = kind.odds_line
            half = 10 ** (-at_one / per_decade)
            look = dict(size=16, line_width=3, line_color=kind.look.colour, marker="cross")
            if line[0][0] <= half <= line[0][-1]:
                lines.append(draw(plot, Scatter, dict(x=[half], y=[0]), **look))
        for renderer in lines:
            renderer.level = "overlay"  # above the markers of all kinds
        plots.note_kind(kind, *lines)
    plot.toolbar.active_drag = next(tool for tool in plot.tools if isinstance(tool, BoxSelectTool))
    for axis in (plot.xaxis, plot.yaxis) if name == "predictions" else (plot.xaxis,):
        axis.ticker, axis.formatter = CustomJSTicker(major_code=LOG_TICKS), PrintfTickFormatter(format="%g")
    if name == "accuracy":
        places = log_odds(np.array(TICKS) / 100).tolist()
        plot.y_range = Range1d(places[0] - 0.3, places[-1] + 0.3)
        plot.yaxis.ticker = FixedTicker(ticks=places)
        plot.yaxis.major_label_overrides = {place: f"{tick:g}" for place, tick in zip(places, TICKS)}
        plots.previews[name] = preview(curves, plot.yaxis.major_label_overrides)
    else:
        numbers = [digit * 10.0**power for power in range(-6, 3) for digit in (1, 2, 5)]
        plots.previews[name] = preview(curves, {math.log10(number): f"{number:g}" for number in numbers})
        even = Span(location=100 / max(plots.comparison.classes, 1), dimension="width", line_dash="dotted")
        plot.add_layout(even)
    plot.xaxis.axis_label, plot.yaxis.axis_label = "class frequency", f"{quantity} (%)"
    tooltips = [("class", "@name"), ("run", "@kind @seed"), ("images", "@images{0,0}")]
    tooltips += [
        ("accuracy", "@accuracy{0.0} %"),
        ("predicted", "@share{0.00} % of all"),
        ("mostly taken for", "@wrong"),
    ]
    formatters = {}
    if plots.shows_images:
        tooltips.append(("trained on", "".join(f'<img {TOOLTIP_IMAGE} src="@class{{{n}}}">' for n in range(3))))
        formatters["@class"] = CustomJSHover(code="return classImages.thumbnail(value, Number(format));")
    plot.add_tools(
        HoverTool(renderers=markers, tooltips=tooltips, formatters=formatters, point_policy="snap_to_data", limit=2)
    )


def class_source(comparison: ComparedRuns) -> ColumnDataSource:
    """A row for each class and run."""
    columns: dict[str, list] = {
        key: [] for key in ("kind", "seed", "class", "x", "images", "accuracy", "odds", "share", "y", "name", "wrong")
    }
    labels = comparison.labels
    for kind in comparison.evaluated_kinds:
        for seed, evaluation in kind.by_seed.items():
            if evaluation.frequency is None:
                continue
            number = len(evaluation.accuracy)
            examples = max(int(evaluation.confusion.sum()), 1)
            wrong = wrong_predictions(evaluation.confusion)
            columns["kind"] += [kind.name] * number
            columns["seed"] += [seed] * number
            columns["class"].append(np.arange(number, dtype=np.int32))
            columns["x"].append(np.maximum(evaluation.frequency, ZERO).astype(np.float32))
            columns["images"].append(evaluation.frequency.astype(np.int32))
            columns["accuracy"].append((100 * evaluation.accuracy).astype(np.float32))
            columns["odds"].append(log_odds(evaluation.accuracy).astype(np.float32))
            columns["share"].append((100 * evaluation.share).astype(np.float32))
            columns["y"].append(100 * np.maximum(evaluation.share, ZERO / examples).astype(np.float32))
            columns["name"] += labels[:number]
            columns["wrong"] += [f"{labels[w[0][0]]} ({w[0][1]})" if w else UNDEFINED for w in wrong]
    strings = ("kind", "seed", "name", "wrong")
    data = {key: value if key in strings else np.concatenate(value) for key, value in columns.items()}
    return ColumnDataSource(data, name="points")
