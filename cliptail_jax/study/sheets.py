"""Draws the paper's figures from a study's runs.

Sheets are written to the study's directory as NAME.tsv, from which `cliptail figures` draws the figures again.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cliptail_jax.figures import draw_figure, figure_module, known_figures
from cliptail_jax.figures.parts.sheet import study_lines
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import write_text
from cliptail_jax.host.text import tsv


class StudyFigure(NamedTuple):
    """A figure of a study's runs.

    Attributes:
        columns: the columns of its sheet, except for those that identify the run.
        rows: for each run in the figure, its name in the study and its cells in these columns.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def check_figures(figures: Mapping[str, StudyFigure], runs: Collection[str]) -> None:
    """Raise UserError if a figure does not exist, or names a run that is not among `runs`."""
    known_names = known_figures()
    for name, figure in figures.items():
        if name not in known_names:
            raise UserError(f"figures.{name}: there is no such figure; there are {', '.join(known_names)}")
        if unknown_runs := {run for run, *_ in figure.rows} - set(runs):
            raise UserError(f"figures.{name}.rows names the run '{min(unknown_runs)}'; the study has {', '.join(runs)}")


def draw_figures(
    figures: Mapping[str, StudyFigure], seeds: Mapping[str, Collection[str]], workdir: Path
) -> tuple[list[str], dict[str, str]]:
    """Write NAME.tsv, figures/NAME.png, .pdf and .svg, with the finished runs of each seed.

    Returns the names of the drawn figures, and the reasons why others were not drawn.
    """
    figure_names, obstacles = [], {}
    workdir.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        sheet = workdir / f"{name}.tsv"
        try:
            header, *rows = getattr(figure_module(name), "study_lines", study_lines)(figure.columns, figure.rows, seeds)
            write_text(sheet, tsv(header, rows))
            draw_figure([name, "--runs", str(sheet), "--output", str(workdir / "figures" / name)])
            figure_names.append(name)
        except UserError as error:
            obstacles[f"figure {name}"] = str(error)
    return figure_names, obstacles
