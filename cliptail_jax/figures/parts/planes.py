"""Planes in which runs are points: two of their numbers, trend lines, and labels."""

from collections.abc import Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox
from numpy.polynomial import Polynomial
from scipy.spatial.distance import cdist

from cliptail_jax.metrics.measures import label_of
from cliptail_jax.report.style import add_grid

# Possible offsets of a label from its point, in points. Labels further away than NEAREST have a leader line.
NEAREST = 6
OFFSETS = [
    (x, y) for d in (NEAREST, 11, 17) for x, y in ((d, 0), (-d, 0), (0, d), (0, -d), (d, d), (-d, d), (d, -d), (-d, -d))
]


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Label the axes with the two measures."""
    axes.set_xlabel(label_of(x))
    axes.set_ylabel(label_of(y))
    axes.margins(0.12)
    add_grid(axes)


def draw_trend(axes: Axes, x: Sequence[float], y: Sequence[float], **look: str) -> bool:
    """Draw the least-squares line over the range of x, and return whether there is one: for three defined points or more."""
    x, y = np.array(x), np.array(y)
    is_defined = ~(np.isnan(x) | np.isnan(y))
    if is_defined.sum() < 3 or np.ptp(x[is_defined]) == 0:
        return False
    ends = np.array([np.nanmin(x), np.nanmax(x)])
    axes.plot(ends, Polynomial.fit(x[is_defined], y[is_defined], 1)(ends), linewidth=1.3, alpha=0.8, zorder=1, **look)
    return True


def place_labels(axes: Axes, points: Iterable[tuple[float, float, str]]) -> None:
    """Put labels next to their points, within the axes and without covering points or other labels.

    Points closest to others choose first. Unlike in the package adjustText, a label without such a place is left out. The
    layout of the figure must be final.
    """
    points = [point for point in points if not np.isnan(point[:2]).any()]
    centres = axes.transData.transform([point[:2] for point in points]) if points else np.zeros((0, 2))
    boxes = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in centres]
    distances = cdist(centres, centres)
    np.fill_diagonal(distances, np.inf)
    for number in np.argsort(distances.min(axis=1, initial=np.inf), kind="stable"):
        x, y, label = points[number]
        text = axes.annotate(label, (x, y), (0, 0), textcoords="offset points", fontsize=7, zorder=4)
        text.set_in_layout(False)
        text.set_path_effects([withStroke(linewidth=1.5, foreground="white")])
        for dx, dy in OFFSETS:
            text.set_position((dx, dy))
            text.set_horizontalalignment("left" if dx > 0 else "right" if dx < 0 else "center")
            text.set_verticalalignment("bottom" if dy > 0 else "top" if dy < 0 else "center")
            box = text.get_window_extent()
            is_inside = axes.bbox.contains(*box.min) and axes.bbox.contains(*box.max)
            if is_inside and not any(box.overlaps(other) for other in boxes):
                boxes.append(box)
                if max(abs(dx), abs(dy)) > NEAREST:
                    line = dict(arrowstyle="-", color="0.5", linewidth=0.6, shrinkA=0, shrinkB=3)
                    leader = axes.annotate("", (x, y), (dx, dy), textcoords="offset points", arrowprops=line)
                    leader.set_in_layout(False)
                break
        else:
            text.remove()
