"""Accuracy by class frequency on an axis of log-odds, with the line of `odds_acc`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from cliptail_jax.metrics.groups import PLOTTED_GROUPS, group_means
from cliptail_jax.metrics.odds import TICKS, log_odds


def draw_odds(
    axes: Axes,
    frequency: Int[np.ndarray, " class"],
    accuracy: Float[np.ndarray, " class"],
    line: tuple[float, float],
    look: Mapping[str, Any],
    label: str,
) -> None:
    """Draw the mean accuracy of `PLOTTED_GROUPS` groups of classes, the regression line, and a mark where it is at 50 %.

    The mark is left out beyond the frequencies.

    Args:
        accuracy: in 0..1; nan for classes without test examples.
        line: log-odds at one image and per decade; nan if they are unknown.
        look: from `cliptail_jax.report.style.style`.
    """
    places, means = group_means(frequency, accuracy)
    axes.plot(places, log_odds(means), **look | {"linestyle": ""}, markersize=6, label=label)
    at_one, per_decade = line
    if np.isnan(per_decade):
        return
    x, y = odds_curve(frequency, line)
    axes.plot(x, y, **look | {"marker": ""})
    log_half = -at_one / per_decade if per_decade > 0 else np.nan  # a small slope puts f50 itself beyond all numbers
    if np.log10(x[0]) <= log_half <= np.log10(x[-1]):
        axes.plot(10**log_half, 0, "|", color=look["color"], markersize=16, markeredgewidth=2)


def odds_curve(
    frequency: Int[np.ndarray, " class"], line: tuple[float, float]
) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
    """Points of a regression of log-odds over the range of the frequencies. `line` is as in `draw_odds`."""
    from scipy.special import expit  # not for the help of programs

    at_one, per_decade = line
    x = np.geomspace(max(frequency.min(), 1), max(frequency.max(), 1))
    return x, log_odds(expit(at_one + per_decade * np.log10(x)))


def label_odds(axes: Axes, frequency: Int[np.ndarray, " class"]) -> None:
    """Add ticks in percent, and of class frequency over the range of `frequency`, to axes with all their data."""
    axes.set_title(f"{PLOTTED_GROUPS} groups of classes;\na bar marks where half are right", fontsize=10)
    bounds = axes.get_ylim()  # which ticks would widen
    axes.set_yticks(log_odds(np.array(TICKS) / 100), [f"{tick:g}" for tick in TICKS])
    axes.set_ylim(bounds)
    axes.set_xscale("symlog", linthresh=1, linscale=0.3)
    axes.set_xlim(frequency.min() / 2, 1.5 * frequency.max())
    axes.xaxis.set_major_locator(FixedLocator(ticks(frequency.min(), frequency.max())))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("class frequency (group mean)")
    axes.set_ylabel("accuracy (%), on an axis of log-odds")


def ticks(minimum: int, maximum: int) -> list[int]:
    """Round numbers on a logarithmic axis: 1, 2, 5, 10, ... or, over more than two decades, 1, 10, 100, ..."""
    decades = [10**d for d in range(len(str(maximum)))]
    numbers = decades if maximum > 100 * max(minimum, 1) else [m * d for d in decades for m in (1, 2, 5)]
    return [n for n in (0, *numbers) if minimum <= n <= maximum]
