"""What all figures look like, and how they are written."""

import argparse
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cliptail_jax.errors import UserError
from cliptail_jax.files import write_bytes

# Okabe and Ito's colours but yellow, grey, and Tol's wine: told apart by the colour-blind; a marker each for print in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#882255")
MARKERS = "osD^vPXp*"
LINES = ("-", "--", ":")
DPI = 150


def style(number: int) -> dict[str, Any]:
    """Colour and marker of the number-th of several things; after nine of them, lines of another kind."""
    return dict(
        color=COLOURS[number % len(COLOURS)],
        marker=MARKERS[number % len(MARKERS)],
        linestyle=LINES[number // len(COLOURS) % len(LINES)],
    )


def styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """A style for each different name, in the order in which they come."""
    return {name: style(number) for number, name in enumerate(dict.fromkeys(names))}


def bare(axes: Axes) -> None:
    """A light grid behind the data."""
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)


def legend_below(figure: Figure, axes: Iterable[Axes] | None = None, columns: int = 5) -> None:
    """One legend below all axes, with every name that any of them has, once; in as many columns as there is room for."""
    handle_of = {}
    for one in figure.axes if axes is None else axes:
        for handle, name in zip(*one.get_legend_handles_labels()):
            handle_of.setdefault(name, handle)
    for number in range(min(columns, len(handle_of)), 0, -1):
        legend = figure.legend(
            handle_of.values(), handle_of, loc="outside lower center", ncols=number, frameon=False, fontsize=9
        )
        if number == 1 or legend.get_window_extent().width < figure.bbox.width:
            break
        legend.remove()


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="the figure, as .png, .pdf or .svg; as .png and .pdf without an ending",
    )


def check_output(path: Path) -> None:
    """Raises UserError where `path` ends like no kind of picture: before anything is read or drawn."""
    kinds = Figure().canvas.get_supported_filetypes()
    if path.suffix and path.suffix[1:] not in kinds:
        raise UserError(f"--output {path}: its ending is none of {', '.join(sorted(kinds))}")


def save(figure: Figure, path: Path) -> None:
    """Writes the picture, of the kind that its ending says or without one as .png and as .pdf."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for file in [path] if path.suffix else [path.with_name(path.name + ending) for ending in (".png", ".pdf")]:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=file.suffix[1:], dpi=DPI)
        write_bytes(file, buffer.getvalue())
