"""The colours and markers of kinds of runs, as in the figures, for Bokeh and SVG."""

from typing import NamedTuple

from matplotlib.markers import MarkerStyle
from matplotlib.path import Path

from cliptail_jax.report.style import LINES, style

# Colours that are too dark on a dark page, with their substitutes there.
ON_DARK = {"#000000": "#FFFFFF", "#332288": "#9C8CF0", "#661100": "#C9714F", "#882255": "#D6609A", "#0072B2": "#3A9AD9"}
DASHES = dict(zip(LINES, ("solid", "dashed", "dotted")))


class KindLook(NamedTuple):
    """The look of a kind of runs: colours on a light and a dark page, dash of lines, and the marker as an SVG path."""

    colour: str
    on_dark: str
    dash: str
    path: str


def look(number: int) -> KindLook:
    """The look of the number-th kind, from `cliptail_jax.report.style`."""
    in_figures = style(number)
    colour = in_figures["color"]
    return KindLook(
        colour, ON_DARK.get(colour, colour), DASHES[in_figures["linestyle"]], svg_path(in_figures["marker"])
    )


def svg_path(marker: str | tuple) -> str:
    """The outline of one of Matplotlib's markers as the path of an SVG, of size 1 about its origin; y points down."""
    shape = MarkerStyle(marker)
    commands = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
    text = []
    for vertices, code in shape.get_path().transformed(shape.get_transform()).iter_segments(simplify=False):
        numbers = " ".join(f"{sign * x:.2f}" for x, sign in zip(vertices, (1, -1) * 3))
        text.append("Z" if code == Path.CLOSEPOLY else f"{commands[code]}{numbers}")
    return "".join(text)
