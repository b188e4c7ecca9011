"""The figures of the paper (arXiv 2405.21070), drawn from the files of run directories alone: no model is loaded.

Every module directly in this package is a figure: adding one takes its module and nothing else. `parts` has the code
that several figures share. The first line of a figure's docstring describes it, the rest documents its sheet. A figure
has

    draw(entries, ...)       returns the Matplotlib figure for the entries of its sheet, and for the values of its options
    COLUMNS                  the columns that its sheet must have; without it the figure has no sheet, and no `entries`
    add_arguments(parser)    adds its options to the command line, if it has any
    PAPER_FIGURE             its number in the paper; figures without one are listed last
    study_lines(...)         the lines of its sheet for the runs of a study; by default `parts.sheet.study_lines`
"""

import argparse
import importlib
import math
import pkgutil
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from cliptail_jax.figures.parts.sheet import read_sheet
from cliptail_jax.files import work_path
from cliptail_jax.plotting.style import add_output, check_output, save

__all__ = ["draw_figure", "figure_modules", "make_parser"]


def figure_modules() -> dict[str, ModuleType]:
    """The modules of all figures by their names, in the paper's order."""
    names = [module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg and module.name != "__main__"]
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return dict(sorted(modules.items(), key=lambda item: getattr(item[1], "PAPER_FIGURE", math.inf)))


def draw_figure(arguments: Sequence[str]) -> list[Path]:
    """Draw a figure from a command line, such as `["scale", "--runs", "scale.tsv", "--output", "scale"]`.

    Returns the files that it wrote.

    Raises:
        UserError: a run, a sheet or a table lacks what the figure needs.
    """
    options = vars(make_parser().parse_args(arguments))
    module, output = options.pop("module"), options.pop("output")
    check_output(output, options.pop("overwrite"))
    if "runs" in options:
        options["entries"] = read_sheet(options.pop("runs"), module.COLUMNS)
    return save(module.draw(**options), output)


def make_parser() -> argparse.ArgumentParser:
    """The command line: a subcommand for each figure."""
    parser = argparse.ArgumentParser(
        prog="python -m cliptail_jax.figures",
        description="Draw a figure of the paper. FIGURE --help documents its sheet and its options.",
    )
    figures = parser.add_subparsers(required=True, metavar="FIGURE", title="figures")
    for name, module in figure_modules().items():
        summary, *_ = module.__doc__.splitlines()
        figure = figures.add_parser(
            name, help=summary, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if hasattr(module, "COLUMNS"):
            figure.add_argument("--runs", type=work_path, required=True, metavar="SHEET", help="the sheet")
        if hasattr(module, "add_arguments"):
            module.add_arguments(figure)
        add_output(figure)
        figure.set_defaults(module=module)
    return parser
