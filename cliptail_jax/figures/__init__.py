"""The figures of the paper (arXiv 2405.21070), drawn from the files of run directories alone: no model is loaded.

Every module directly in this package is a figure: adding one takes its module and nothing else. `parts` has the code
that several figures share. The first line of a figure's docstring describes it and ends with its number in the paper,
'(figure 4).', if it has one; the rest documents its sheet. A figure has

    draw(entries, ...)       returns the Matplotlib figure for the entries of its sheet, and for the values of its options
    COLUMNS                  the columns that its sheet must have; without it the figure has no sheet, and no `entries`
    OPTIONS                  its options, if it has any: the arguments of `add_argument` by name; a type is "int" or "path"
    study_lines(...)         the lines of its sheet for the runs of a study; by default `parts.sheet.study_lines`

The command line is read from the docstring and the literals COLUMNS and OPTIONS, since importing a figure is slow.
"""

import argparse
import importlib
import math
import pkgutil
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from cliptail_jax.host.commands import docstring, literals
from cliptail_jax.host.files import work_path
from cliptail_jax.host.outputs import add_picture

__all__ = ["add_flags", "draw", "draw_figure", "figure_module", "known_figures"]


def known_figures() -> dict[str, str]:
    """The docstrings of all figures by their names, in the paper's order."""
    texts = {name: docstring(file) for name, file in figure_files().items()}
    number = {name: re.match(r".*\(figure (\d+)", text) for name, text in texts.items()}
    return dict(sorted(texts.items(), key=lambda item: int(number[item[0]][1]) if number[item[0]] else math.inf))


def figure_files() -> dict[str, Path]:
    """The files of all figures by their names."""
    return {
        module.name: Path(module.module_finder.path, f"{module.name}.py")
        for module in pkgutil.iter_modules(__path__)
        if not module.ispkg
    }


def figure_module(name: str) -> ModuleType:
    """The module of a figure."""
    return importlib.import_module(f"{__name__}.{name}")


def draw_figure(arguments: Sequence[str]) -> list[Path]:
    """Draw a figure from a command line, such as `["scale", "--runs", "scale.tsv", "--output", "scale"]`.

    Returns the files that it wrote. Raises UserError as `draw`.
    """
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return draw(parser.parse_args(arguments))


def draw(options: argparse.Namespace) -> list[Path]:
    """Draw the figure of a command line's flags. Returns the files that it wrote.

    Raises:
        UserError: a run, a sheet or a table lacks what the figure needs.
    """
    from cliptail_jax.figures.parts.sheet import read_sheet  # slow to import
    from cliptail_jax.report.style import check_output, save

    values = vars(options)
    module, output = figure_module(values.pop("figure")), values.pop("output")
    check_output(output, values.pop("overwrite"))
    if "runs" in values:
        values["entries"] = read_sheet(values.pop("runs"), module.COLUMNS)
    return save(module.draw(**values), output)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add a subcommand for each figure."""
    figures = parser.add_subparsers(required=True, dest="figure", metavar="FIGURE", title="figures")
    for name, text in known_figures().items():
        figure = figures.add_parser(
            name,
            help=text.partition("\n")[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_options(figure, literals(figure_files()[name]))


def add_options(parser: argparse.ArgumentParser, constants: Mapping[str, Any]) -> None:
    """Add the options of a figure, whose literals are `constants`, to its command line."""
    parser.register("type", "int", int)
    parser.register("type", "path", work_path)
    if "COLUMNS" in constants:
        parser.add_argument("--runs", type=work_path, required=True, metavar="SHEET", help="the sheet")
    for name, arguments in constants.get("OPTIONS", {}).items():
        parser.add_argument(name, **arguments)
    add_picture(parser)
