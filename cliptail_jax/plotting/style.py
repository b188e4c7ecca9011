"""What all figures look like, and how they are written."""

import argparse
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cliptail_jax.errors import UserError
from cliptail_jax.files import work_path, write_bytes

# Okabe and Ito's colours but yellow, grey, and Tol's wine, indigo, sand and brown: told apart by the colour-blind.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
    "#000000", "#999999", "#882255", "#332288", "#DDCC77", "#661100",
)  # fmt: skip
# For print in grey. In brackets are a number of corners, 1 for stars and 0 for polygons, and degrees.
MARKERS = (*"osD^vPXp*<>hd", (4, 1, 0), (6, 1, 0), (8, 1, 0), (4, 1, 45), (5, 0, 180), "$♥$", "$♠$", "$♣$", "$☾$")
LINES = ("-", "--", ":")
DPI = 150


def style(number: int) -> dict[str, Any]:
    """Colour, line and marker of the number-th of several things."""
    return {**line_style(number), "marker": MARKERS[number % len(MARKERS)]}


def line_style(number: int) -> dict[str, str]:
    """Colour and line of the number-th of several things; once all colours are taken, lines are of another kind."""
    return dict(color=COLOURS[number % len(COLOURS)], linestyle=LINES[number // len(COLOURS) % len(LINES)])


def styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """A style for each different name, in the order in which they come."""
    return {name: style(number) for number, name in enumerate(dict.fromkeys(names))}


def bare(axes: Axes) -> None:
    """A light grid behind the data."""
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)


def legend_below(figure: Figure, axes: Iterable[Axes] | None = None, columns: int = 5) -> None:
    """One legend below all axes, with every name that any of them has, once; in as few rows as there is room for."""
    handle_of = {}
    for one in figure.axes if axes is None else axes:
        for handle, name in zip(*one.get_legend_handles_labels()):
            handle_of.setdefault(name, handle)
    for rows in range(max(1, math.ceil(len(handle_of) / columns)), len(handle_of) + 1):
        number = math.ceil(len(handle_of) / rows)
        legend = figure.legend(
            handle_of.values(), handle_of, loc="outside lower center", ncols=number, frameon=False, fontsize=9
        )
        if number == 1 or legend.get_window_extent().width < figure.bbox.width:
            break
        legend.remove()


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        type=work_path,
        required=True,
        help="the figure, as .png, .pdf or .svg; as .png and .pdf without an ending",
    )


def check_output(path: Path) -> None:
    """Raises UserError where `path` ends like no kind of picture: before anything is read or drawn."""
    kinds = Figure().canvas.get_supported_filetypes()
    if path.suffix and path.suffix[1:] not in kinds:
        raise UserError(f"--output {path}: its ending is none of {', '.join(sorted(kinds))}")


def save(figure: Figure, path: Path) -> list[Path]:
    """Writes the picture, of the kind that its ending says or without one as .png and as .pdf; returns what it wrote."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files = [path] if path.suffix else [path.with_name(path.name + ending) for ending in (".png", ".pdf")]
    for file in files:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=file.suffix[1:], dpi=DPI)
        write_bytes(file, buffer.getvalue())
    return files
