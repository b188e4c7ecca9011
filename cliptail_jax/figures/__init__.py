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

from cliptail_jax.host.commands import ProgramParser, as_started, docstring, literals
from cliptail_jax.host.files import work_path
from cliptail_jax.host.outputs import add_picture

__all__ = ["draw_figure", "figure_module", "known_figures", "make_parser"]


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
        if not module.ispkg and module.name != "__main__"
    }


def figure_module(name: str) -> ModuleType:
    """The module of a figure."""
    return importlib.import_module(f"{__name__}.{name}")


def draw_figure(arguments: Sequence[str]) -> list[Path]:
    """Draw a figure from a command line, such as `["scale", "--runs", "scale.tsv", "--output", "scale"]`.

    Returns the files that it wrote.

    Raises:
        UserError: a run, a sheet or a table lacks what the figure needs.
    """
    options = vars(make_parser(arguments).parse_args(arguments))
    from cliptail_jax.figures.parts.sheet import read_sheet  # slow to import
    from cliptail_jax.report.style import check_output, save

    module, output = figure_module(options.pop("figure")), options.pop("output")
    check_output(output, options.pop("overwrite"))
    if "runs" in options:
        options["entries"] = read_sheet(options.pop("runs"), module.COLUMNS)
    return save(module.draw(**options), output)


def make_parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The command line: a subcommand for each figure. Only that of `arguments` has its options."""
    parser = ProgramParser(
        prog=as_started("python -m cliptail_jax.figures"),
        description="Draw a figure of the paper. FIGURE --help documents its sheet and its options.",
    )
    figures = parser.add_subparsers(required=True, dest="figure", metavar="FIGURE", title="figures")
    for name, text in known_figures().items():
        figure = figures.add_parser(
            name,
            help=text.partition("\n")[0],
            description=as_started(text),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name in arguments[:1]:
            add_options(figure, literals(figure_files()[name]))
    return parser


def add_options(parser: argparse.ArgumentParser, constants: Mapping[str, Any]) -> None:
    """Add the options of a figure, whose literals are `constants`, to its command line."""
    parser.register("type", "int", int)
    parser.register("type", "path", work_path)
    if "COLUMNS" in constants:
        parser.add_argument("--runs", type=work_path, required=True, metavar="SHEET", help="the sheet")
    for name, arguments in constants.get("OPTIONS", {}).items():
        parser.add_argument(name, **arguments)
    add_picture(parser)
