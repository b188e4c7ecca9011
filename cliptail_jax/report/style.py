"""The style of all figures, and saving them."""

import io
import math
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cliptail_jax.experiments.kinds import look_numbers
from cliptail_jax.host import outputs
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import write_bytes

# Okabe and Ito's colours without yellow, grey, and Tol's wine, indigo, sand and brown: distinct to the colour-blind, too.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
    "#000000", "#999999", "#882255", "#332288", "#DDCC77", "#661100",
)  # fmt: skip
# Distinct in greyscale. Tuples are (corners, 1 for a star or 0 for a polygon, rotation in degrees).
MARKERS = (*"osD^vPXp*<>hd", (4, 1, 0), (6, 1, 0), (8, 1, 0), (4, 1, 45), (5, 0, 180), "$♥$", "$♠$", "$♣$", "$☾$")
LINES = ("-", "--", ":")
DPI = 150
TITLE_LETTERS = 9  # in an inch of a title: a little fewer than fit on average
FORMATS = (".png", ".pdf", ".svg")
UNDATED = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}  # metadata without a date, by format


def style(number: int) -> dict[str, Any]:
    """Colour, line and marker of the number-th of several groups."""
    return {**line_style(number), "marker": MARKERS[number % len(MARKERS)]}


def line_style(number: int) -> dict[str, str]:
    """Colour and line of the number-th of several groups. The line changes each time the colours repeat."""
    return dict(color=COLOURS[number % len(COLOURS)], linestyle=LINES[number // len(COLOURS) % len(LINES)])


def styles(names: Iterable[str] | Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """A style for each distinct name; known kinds of runs have their own. A mapping has the labels of the names."""
    labels = names if isinstance(names, Mapping) else {name: name for name in names}
    return {name: style(number) for name, number in look_numbers(labels).items()}


def add_title(figure: Figure, title: str) -> None:
    """Add a title above all axes, in as many lines as it needs to be within the figure."""
    figure.suptitle(textwrap.fill(title, int(TITLE_LETTERS * figure.get_figwidth())), fontsize=12)


def add_grid(axes: Axes) -> None:
    """Add a light grid behind the data."""
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)


def mark_no_bias(axes: Axes, upright: bool = False) -> None:
    """Draw the line of no bias, at y = 0, or at x = 0 if it is upright, with a label at its left or upper end."""
    if upright:
        axes.axvline(0, color="black", linewidth=0.8)
        place = dict(xy=(0, 1), xycoords=("data", "axes fraction"), xytext=(2, -2), ha="left", va="top")
    else:
        axes.axhline(0, color="black", linewidth=0.8)
        place = dict(xy=(0, 0), xycoords=("axes fraction", "data"), xytext=(2, 1), ha="left", va="bottom")
    text = axes.annotate("0: no bias", **place, textcoords="offset points", fontsize=7, color="0.3")
    text.set_in_layout(False)


def legend_below(figure: Figure, axes: Iterable[Axes] | None = None, columns: int = 5) -> None:
    """Add one legend below all axes with the names of all of them, in as few rows as fit."""
    handle_of = {}
    for panel in figure.axes if axes is None else axes:
        for handle, name in zip(*panel.get_legend_handles_labels()):
            handle_of.setdefault(name, handle)
    for rows in range(max(1, math.ceil(len(handle_of) / columns)), len(handle_of) + 1):
        number = math.ceil(len(handle_of) / rows)
        legend = figure.legend(
            handle_of.values(), handle_of, loc="outside lower center", ncols=number, frameon=False, fontsize=9
        )
        if number == 1 or legend.get_window_extent().width < figure.bbox.width:
            break
        legend.remove()


def check_output(path: Path, overwrite: bool = False) -> None:
    """Raise UserError for an invalid place or suffix of a picture, before anything is read or drawn."""
    kinds = Figure().canvas.get_supported_filetypes()
    if path.suffix and path.suffix[1:] not in kinds:
        raise UserError(f"--output {path}: its suffix is none of {', '.join(sorted(kinds))}")
    for file in files_of(path):
        outputs.check_output(file, is_picture, overwrite=overwrite)


def is_picture(path: Path) -> bool:
    """Whether Matplotlib drew a picture, by its mark in the file."""
    return b"atplotlib" in path.read_bytes()


def files_of(path: Path) -> list[Path]:
    return [path] if path.suffix else [path.with_name(path.name + suffix) for suffix in FORMATS]


def save(figure: Figure, path: Path) -> list[Path]:
    """Write the figure in the format of the suffix or, without one, in all `FORMATS`. Returns the files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # one layout, which takes half of the time, serves all formats
    for file in files_of(path):
        write_bytes(file, rendered(figure, file.suffix[1:]))
    return files_of(path)


def rendered(figure: Figure, kind: str) -> bytes:
    """The figure in a format, such as "svg". The same figure has the same bytes: there is no date, and ids are not random."""
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "cliptail_jax"}):
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=UNDATED.get(kind))
    return buffer.getvalue()
