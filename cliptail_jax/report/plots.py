"""The plots of the page, by Bokeh. `Plots.by_kind` lists what the page hides with a kind of runs."""

import math

from bokeh.models import (
    ColumnDataSource,
    FactorRange,
    Rect,
    Text,
)

from cliptail_jax.report.comparison import ComparedRuns
from cliptail_jax.report.frequency_plots import class_source, draw_by_frequency
from cliptail_jax.report.plot_parts import Plots, draw
from cliptail_jax.report.run_plots import draw_calibration, draw_curve, draw_groups, draw_plane, recall_by_decile


def draw_plots(comparison: ComparedRuns, shows_images: bool = False) -> Plots:
    """All plots of a comparison for which there are numbers; `shows_images` as for `Plots`."""
    plots = Plots(comparison, shows_images)
    if any(e.frequency is not None for kind in comparison.evaluated_kinds for e in kind.by_seed.values()):
        plots.points = class_source(comparison)
        draw_by_frequency(plots, "accuracy", "accuracy")
        draw_by_frequency(plots, "predictions", "share of predictions")
    draw_plane(plots, "slopes", "top1", "odds_acc")
    draw_plane(plots, "correlations", "corr_acc", "corr_pred")
    draw_groups(plots)
    draw_curve(plots, "loss", "training loss", lambda run: [(line["step"], line.get("train/loss")) for line in run.log])
    draw_curve(
        plots,
        "top1",
        "top-1 accuracy (%)",
        lambda run: [(s["step"], s.get("top1")) for s in run.summaries if s["step"] and not run.is_published],
    )
    draw_curve(plots, "recall", "text→image recall at 5 (%)", recall_by_decile, "decile of the rarest word's frequency")
    draw_calibration(plots)
    if comparison.evaluated_kinds:
        plots.confusions = [confusion(plots, f"confusion_{place}") for place in ("a", "b")]
    return plots


def confusion(plots: Plots, name: str) -> ColumnDataSource:
    """A cell for each true class and prediction, which the page fills for the chosen classes and kind."""
    source = ColumnDataSource({key: [] for key in ("true", "predicted", "share", "count", "text", "alpha")})
    description = "How often each chosen class is predicted as each other one, in percent of the true class's examples."
    plot = plots.add_figure(
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
