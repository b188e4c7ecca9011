"""The plots of the page, by Bokeh. `Plots.of_kind` lists what the page hides with a kind of runs."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from bokeh.models import (
    BoxSelectTool,
    CDSView,
    ColumnDataSource,
    CustomJS,
    CustomJSHover,
    CustomJSTicker,
    FactorRange,
    FixedTicker,
    Glyph,
    GlyphRenderer,
    GroupFilter,
    HoverTool,
    IndexFilter,
    Legend,
    LegendItem,
    Line,
    Model,
    PrintfTickFormatter,
    Range1d,
    Rect,
    Scatter,
    Segment,
    Span,
    Text,
)
from bokeh.plotting import figure

from cliptail_jax.host.text import UNDEFINED
from cliptail_jax.metrics.groups import evenly, group_means
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.metrics.odds import TICKS, log_odds
from cliptail_jax.metrics.retrieval import by_decile
from cliptail_jax.report.comparison import ComparedGroup, ComparedRuns, wrong_predictions
from cliptail_jax.report.odds import odds_curve
from cliptail_jax.report.previews import Curve, Preview, preview
from cliptail_jax.results.run import Run

CurvePoint = tuple[float, float | None]  # of a learning curve: the step, and a value if there is one
MAX_CURVE_POINTS = 100  # of a learning curve
MARKERS = 6  # of a learning curve: points with the marker of its kind
ZERO = 0.5  # the place of 0 training images or predictions on a logarithmic axis
SELECTING = "pan,box_zoom,wheel_zoom,box_select,lasso_select,tap,reset,save"
MOVING = "pan,box_zoom,wheel_zoom,reset,save"
GROUPS = {"head": "triangle", "mid": "circle", "tail": "inverted_triangle"}
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
MIN_EXAMPLES = 20  # of a bin of confidence; others are left out of calibration


class Plots:
    """The plots of a comparison, by a short name of each.

    Attributes:
        figures: the plots; those for which there are no numbers are left out.
        previews: some of them, as SVG.
        descriptions: those of the plots, for those who do not see them.
        of_kind: the objects that show a kind, each with the names of its properties that are the kind's colour.
        points: the source of classes and runs, whose selection chooses classes; None without evaluations.
        confusions: the sources of the two plots of confusion, which the page fills.
        rows: the axis of kinds, from which a hidden one is removed.
        has_paths: whether the plot of bias by accuracy shows the paths of the runs during their training.
    """

    def __init__(self, comparison: ComparedRuns, shows_images: bool = False):
        """With `shows_images`, the page's script `images.js` has training images, which are shown with a class."""
        self.figures: dict[str, Model] = {}
        self.previews: dict[str, Preview] = {}
        self.descriptions: dict[str, str] = {}
        self.of_kind: dict[str, list[tuple[Model, list[str]]]] = {kind.name: [] for kind in comparison.kinds}
        self.points: ColumnDataSource | None = None
        self.confusions: list[ColumnDataSource] = []
        self.rows: FactorRange | None = None
        self.has_paths = False
        self._comparison, self._shows_images = comparison, shows_images
        self._shapes: dict[str, CustomJS] = {}
        if any(e.frequency is not None for kind in comparison.evaluated for e in kind.shared.values()):
            self.points = self._class_source()
            self._by_frequency("accuracy", "accuracy")
            self._by_frequency("predictions", "share of predictions")
        self._plane("slopes", "top1", "odds_acc")
        self._plane("correlations", "corr_acc", "corr_pred")
        self._groups()
        self._curve("loss", "training loss", lambda run: [(line["step"], line.get("train/loss")) for line in run.log])
        self._curve(
            "top1",
            "top-1 accuracy (%)",
            lambda run: [(s["step"], s.get("top1")) for s in run.summaries if s["step"] and not run.is_published],
        )
        self._curve("recall", "text→image recall at 5 (%)", recall_by_decile, "decile of the rarest word's frequency")
        self._calibration()
        if comparison.evaluated:
            self.confusions = [self._confusion(f"confusion_{place}") for place in ("a", "b")]

    def _figure(self, name: str, description: str, tools: str = MOVING, **options) -> figure:
        plot = figure(
            height=options.pop("height", 380),
            sizing_mode="stretch_width",
            tools=tools,
            toolbar_location="above",
            name=name,
            background_fill_color=None,  # the page's background shows through, light or dark
            border_fill_color=None,
            **options,
        )
        plot.toolbar.logo = None
        plot.toolbar.autohide = False
        plot.min_border_right = 12
        self.figures[name], self.descriptions[name] = plot, description
        return plot

    def _shows(self, kind: ComparedGroup, *renderers: Model) -> None:
        """Note that renderers and their glyphs show a kind, in its colour."""
        for renderer in renderers:
            self.of_kind[kind.name].append((renderer, []))
            self._has_colour(kind, renderer.glyph)

    def _has_colour(self, kind: ComparedGroup, glyph: Model) -> None:
        """Note that a glyph has the colour of a kind."""
        colours = [name for name in ("fill_color", "line_color") if name in glyph.properties()]
        self.of_kind[kind.name].append((glyph, colours))

    def _marker(self, kind: ComparedGroup) -> dict:
        """The marker of a kind as options of a scatter plot: its path, scaled to the marker's size."""
        if kind.name not in self._shapes:
            code = (
                f"const shape = new Path2D({kind.look.path!r}), paths = new Map(); export default (args, obj, {{r}}) => {{ "
                "if (!paths.has(r)) { const path = new Path2D(); path.addPath(shape, new DOMMatrix([2 * r, 0, 0, 2 * r, 0, "
                "0])); paths.set(r, path) } return paths.get(r) }"
            )
            self._shapes[kind.name] = CustomJS(code=code, module=True)
        return {"marker": {"value": "@kind"}, "defs": {"@kind": self._shapes[kind.name]}}

    def _class_source(self) -> ColumnDataSource:
        """A row for each class and run."""
        columns: dict[str, list] = {
            key: []
            for key in ("kind", "seed", "class", "x", "images", "accuracy", "odds", "share", "y", "name", "wrong")
        }
        labels = self._comparison.labels
        for kind in self._comparison.evaluated:
            for seed, evaluation in kind.shared.items():
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

    def _by_frequency(self, name: str, quantity: str) -> None:
        """A marker for each class and run, the means of groups of classes of similar frequency, and a line.

        Accuracy is on an axis of log-odds, and its line is the regression of `odds_acc`, with a cross at f50; the line of
        predictions goes through the means.
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
        shared = {"x_range": self.figures["accuracy"].x_range} if name == "predictions" else {}
        plot = self._figure(name, description, SELECTING, height=440, x_axis_type="log", y_axis_type=scale, **shared)
        y = "y" if name == "predictions" else "odds"
        crowded = sum(len(kind.shared) for kind in self._comparison.evaluated) * self._comparison.classes
        alpha = 0.55 if crowded < 500 else 0.2 if crowded < 2000 else 0.05
        markers, curves = [], []
        for kind in self._comparison.evaluated:
            evaluations = [evaluation for evaluation in kind.shared.values() if evaluation.frequency is not None]
            if not evaluations:
                continue
            view = CDSView(filter=GroupFilter(column_name="kind", group=kind.name))
            renderer = plot.scatter(
                "x", y, source=self.points, view=view, size=7, fill_color=kind.look.colour, line_color=kind.look.colour,
                fill_alpha=alpha, line_alpha=alpha, nonselection_alpha=0.04, selection_fill_alpha=0.9,
                **self._marker(kind),
            )  # fmt: skip
            markers.append(renderer)
            self._shows(kind, renderer)
            for glyph in (renderer.nonselection_glyph, renderer.selection_glyph):
                self._has_colour(kind, glyph)
            frequency = np.concatenate([evaluation.frequency for evaluation in evaluations])
            value = np.concatenate([getattr(e, "share" if name == "predictions" else "accuracy") for e in evaluations])
            means = group_means(frequency, value)
            x, of_groups = np.maximum(means[0], ZERO), 100 * means[1] if name == "predictions" else log_odds(means[1])
            line = (x, of_groups) if name == "predictions" else odds_curve(frequency, kind.odds_line)
            curve = Curve(kind, (x, of_groups), line)
            if name == "predictions":
                with np.errstate(divide="ignore"):  # of groups that are never predicted
                    curve = Curve(kind, *[(x, np.log10(of_groups))] * 2)
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
                draw(plot, Scatter, dict(x=x, y=of_groups), size=9, **filled(kind), **self._marker(kind)),
            ]
            if name == "accuracy" and math.isfinite(kind.value("f50")):
                at_one, per_decade = kind.odds_line
                half = 10 ** (-at_one / per_decade)
                look = dict(size=16, line_width=3, line_color=kind.look.colour, marker="cross")
                lines.append(draw(plot, Scatter, dict(x=[half], y=[0]), **look))
            for renderer in lines:
                renderer.level = "overlay"  # above the markers of all kinds
            self._shows(kind, *lines)
        plot.toolbar.active_drag = next(tool for tool in plot.tools if isinstance(tool, BoxSelectTool))
        for axis in (plot.xaxis, plot.yaxis) if name == "predictions" else (plot.xaxis,):
            axis.ticker, axis.formatter = CustomJSTicker(major_code=LOG_TICKS), PrintfTickFormatter(format="%g")
        if name == "accuracy":
            places = log_odds(np.array(TICKS) / 100).tolist()
            plot.y_range = Range1d(places[0] - 0.3, places[-1] + 0.3)
            plot.yaxis.ticker = FixedTicker(ticks=places)
            plot.yaxis.major_label_overrides = {place: f"{tick:g}" for place, tick in zip(places, TICKS)}
            self.previews[name] = preview(curves, plot.yaxis.major_label_overrides)
        else:
            numbers = [digit * 10.0**power for power in range(-6, 3) for digit in (1, 2, 5)]
            self.previews[name] = preview(curves, {math.log10(number): f"{number:g}" for number in numbers})
            even = Span(location=100 / max(self._comparison.classes, 1), dimension="width", line_dash="dotted")
            plot.add_layout(even)
        plot.xaxis.axis_label, plot.yaxis.axis_label = "class frequency", f"{quantity} (%)"
        tooltips = [("class", "@name"), ("run", "@kind @seed"), ("images", "@images{0,0}")]
        tooltips += [
            ("accuracy", "@accuracy{0.0} %"),
            ("predicted", "@share{0.00} % of all"),
            ("mostly taken for", "@wrong"),
        ]
        formatters = {}
        if self._shows_images:
            tooltips.append(("trained on", "".join(f'<img {TOOLTIP_IMAGE} src="@class{{{n}}}">' for n in range(3))))
            formatters["@class"] = CustomJSHover(code="return classImages.thumbnail(value, Number(format));")
        plot.add_tools(
            HoverTool(renderers=markers, tooltips=tooltips, formatters=formatters, point_policy="snap_to_data", limit=2)
        )

    def _plane(self, name: str, x: str, y: str) -> None:
        """A marker for each kind at two of its measures, with intervals where they are known.

        With top-1 as x, a line shows each kind's path to its marker, through the evaluations during the training.
        """
        x_label, y_label = (MEASURES[key].label.replace("\n", " ") for key in (x, y))
        kinds = [kind for kind in self._comparison.kinds if not math.isnan(kind.value(x) + kind.value(y))]
        paths = {kind.name: kind.path(y) if x == "top1" else [] for kind in kinds}
        has_paths = any(len(path) > 1 for path in paths.values())
        if len(kinds) < 2 and not has_paths:
            return
        description = f"{x_label} against {y_label}: a marker for each kind of runs. The table of runs has the numbers."
        self.has_paths |= has_paths
        if has_paths:
            description += (
                " A line shows the path of a kind, by the evaluations during its training that are above chance."
            )
        plot = self._figure(name, description, height=360, x_axis_label=x_label, y_axis_label=y_label)
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
                self._shows(kind, draw(plot, Segment, source, **ends, line_color=kind.look.colour, line_width=1.5))
            markers.append(draw(plot, Scatter, source, size=13, **filled(kind), **self._marker(kind)))
            self._shows(kind, markers[-1])
            if paths[kind.name]:
                look = dict(line_color=kind.look.colour, line_dash=kind.look.dash, line_width=1.5, line_alpha=0.6)
                path = dict(zip("xy", zip(*paths[kind.name])))
                self._shows(kind, draw(plot, Line, path, **look))
        plot.x_range.only_visible = plot.y_range.only_visible = True
        plot.add_layout(Span(location=0, dimension="width", line_width=1))
        tooltips = [("runs", "@kind"), ("top-1", "@top1{0.0} %"), (x, "@x{0.00} [@left{0.00}, @right{0.00}]")]
        tooltips.append((y, "@y{0.00} [@low{0.00}, @high{0.00}]"))
        if x == "top1":
            tooltips.pop(2)
        plot.add_tools(HoverTool(renderers=markers, tooltips=tooltips))

    def _groups(self) -> None:
        """A row for each kind, with its accuracies on head, mid and tail."""
        kinds = [kind for kind in self._comparison.kinds if not math.isnan(kind.mean("head") + kind.mean("tail"))]
        if not kinds:
            return
        description = (
            "The accuracies of each kind of runs on the head, mid and tail classes. The table of runs has the numbers."
        )
        self.rows = FactorRange(factors=[kind.name for kind in reversed(kinds)])
        plot = self._figure("groups", description, height=110 + 26 * len(kinds), y_range=self.rows)
        renderers = {}
        for kind in kinds:
            values = {group: kind.mean(group) for group in GROUPS}
            ends = dict(x0=[min(values.values())], x1=[max(values.values())], y0=[kind.name], y1=[kind.name])
            line = draw(plot, Segment, ends, line_color=kind.look.colour, line_width=2)
            self._has_colour(kind, line.glyph)
            for group, shape in GROUPS.items():
                point = dict(x=[values[group]], y=[kind.name], group=[group])
                marker = draw(plot, Scatter, point, marker=shape, size=11, **filled(kind))
                self._has_colour(kind, marker.glyph)
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

    def _curve(
        self, name: str, label: str, points_of: Callable[[Run], Sequence[CurvePoint]], x_label: str = "training step"
    ) -> None:
        """A line for each run, thinned out to MAX_CURVE_POINTS points, with the marker of its kind at some of them, or at the only one."""
        curves = []
        for number, kind in enumerate(self._comparison.kinds):
            for run in kind.runs:
                points = [(x, y) for x, y in points_of(run) if y is not None and math.isfinite(y)]
                if points:
                    curves.append((number, kind, run, [points[i] for i in evenly(len(points), MAX_CURVE_POINTS)]))
        if not curves:
            return
        plot = self._figure(name, f"{label} by {x_label}, a line with markers for each run.", height=340)
        lines = []
        for number, kind, run, points in curves:
            steps, values = (np.array(column, np.float32) for column in zip(*points))
            source = ColumnDataSource(dict(x=steps, y=values))
            line = draw(plot, Line, source, line_color=kind.look.colour, line_width=1.8, line_dash=kind.look.dash)
            markers = draw(plot, Scatter, source, size=9, **filled(kind), **self._marker(kind))
            markers.view = CDSView(filter=IndexFilter(marker_places(len(points), number / len(self._comparison.kinds))))
            line.name = markers.name = f"{kind.name} {run.seed}".strip()
            lines.append(line if len(points) > 1 else markers)
            self._shows(kind, line, markers)
        plot.xaxis.axis_label, plot.yaxis.axis_label = x_label, label
        plot.x_range.only_visible = plot.y_range.only_visible = True
        tooltips = [("run", "$name"), (x_label, "@x{0,0}"), (label, "@y{0.000}")]
        plot.add_tools(HoverTool(renderers=lines, tooltips=tooltips, line_policy="nearest"))

    def _calibration(self) -> None:
        """Mean confidence against accuracy in bins of confidence, over the runs of a kind."""
        kinds = []
        for kind in self._comparison.kinds:
            sums_of_runs = [e.results.calibration for e in kind.evaluations if e.results.calibration]
            if sums_of_runs:
                kinds.append((kind, np.sum([[part.sum(axis=0) for part in sums] for sums in sums_of_runs], axis=0)))
        if not kinds:
            return
        description = "Confidence against accuracy, a line for each kind of runs: above the dotted line, it is not confident enough."
        plot = self._figure("calibration", description, height=380)
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
            markers.append(draw(plot, Scatter, source, size=8, **filled(kind), **self._marker(kind)))
            self._shows(kind, line, markers[-1])
        plot.xaxis.axis_label, plot.yaxis.axis_label = "confidence (%)", "accuracy (%)"
        tooltips = [("runs", "@kind"), ("confidence", "@x{0.0} %"), ("accuracy", "@y{0.0} %")]
        plot.add_tools(HoverTool(renderers=markers, tooltips=[*tooltips, ("examples", "@examples{0,0}")]))

    def _confusion(self, name: str) -> ColumnDataSource:
        """A cell for each true class and prediction, which the page fills for the chosen classes and kind."""
        source = ColumnDataSource({key: [] for key in ("true", "predicted", "share", "count", "text", "alpha")})
        description = (
            "How often each chosen class is predicted as each other one, in percent of the true class's examples."
        )
        plot = self._figure(
            name,
            description,
            "hover,save",
            height=420,
            x_range=FactorRange(),
            y_range=FactorRange(),
            x_axis_location="above",
        )
        cells = dict(
            width=0.95, height=0.95, fill_color="#0072B2", fill_alpha="alpha", line_color="#999999", line_alpha=0.3
        )
        draw(plot, Rect, source, x="predicted", y="true", **cells)
        texts = dict(text="text", text_align="center", text_baseline="middle", text_font_size="11px")
        draw(plot, Text, source, x="predicted", y="true", **texts)
        plot.xaxis.major_label_orientation = math.pi / 2
        plot.xaxis.axis_label, plot.yaxis.axis_label = "predicted", "true class"
        plot.grid.visible = False
        tooltips = [("true", "@true"), ("predicted", "@predicted"), ("examples", "@count (@share{0.0} %)")]
        plot.hover.tooltips = tooltips
        return source


def draw(plot: figure, glyph: type[Glyph], data: ColumnDataSource | dict, **look: Any) -> GlyphRenderer:
    """Add glyphs of a type, whose coordinates are by default the columns `x` and `y`, or `x0` to `y1`.

    `plot.line` and its like would also add glyphs for selected, other, muted and hovered ones, which takes three times as long.
    """
    return plot.add_glyph(data if isinstance(data, ColumnDataSource) else ColumnDataSource(data), glyph(**look))


def filled(kind: ComparedGroup) -> dict[str, str]:
    """The colours of a kind's markers."""
    return {"fill_color": kind.look.colour, "line_color": kind.look.colour}


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
