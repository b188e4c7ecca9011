"""The picture of logit adjustment: accuracies and bias by τ."""

from collections.abc import Collection, Mapping

from matplotlib.figure import Figure

from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.report.style import add_grid, add_title, legend_below, style

ACCURACIES = ("top1", "mean_per_class", "head", "mid", "tail")


def draw_adjustment(name: str, by_tau: Mapping[float, Mapping[str, float]], selection: Collection[float]) -> Figure:
    """Draw accuracies and the log-odds of being right per decade of frequency by τ, with a line at each τ of the selection.

    `by_tau` has the measures by their keys.
    """
    figure = Figure(figsize=(9.6, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, keys in ((left, ACCURACIES), (right, ("odds_acc",))):
        for number, key in enumerate(keys):
            look = style(number if len(keys) > 1 else len(ACCURACIES))
            title = MEASURES[key].title.removesuffix(" %")
            axes.plot([*by_tau], [measures[key] for measures in by_tau.values()], **look, markersize=4, label=title)
        for tau in selection:
            axes.axvline(tau, color="grey", linewidth=0.8, linestyle=":")
        axes.set_xlabel("τ of logits − τ log n (dotted: chosen on a half)")
        add_grid(axes)
    left.set_ylabel("accuracy (%)")
    right.set_ylabel(MEASURES["odds_acc"].label)
    right.axhline(0, color="black", linewidth=0.8)
    add_title(figure, f"Post-hoc logit adjustment of {name}")
    legend_below(figure, columns=6)
    return figure
