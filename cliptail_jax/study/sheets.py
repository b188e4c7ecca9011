"""Figures of the paper for a study: those that its config names, each with the sheet that it is drawn from.

`study.figures` has for each of cliptail_jax.figures' names

    columns    of its sheet, behind `run` and, of `transfer`, `model`
    rows       of the runs that it shows: a run's name in the study, and the cells of these columns

The sheet is written to the study's directory, so that the figure can be drawn again, by the command of the README.
"""

from collections.abc import Mapping
from pathlib import Path

from ml_collections import ConfigDict

from cliptail_jax.errors import UserError
from cliptail_jax.figures import draw_figure
from cliptail_jax.files import write_text
from cliptail_jax.study.claims import Outcomes


def check_figures(study: ConfigDict) -> None:
    """Raise a UserError that names what is wrong with one of the study's figures."""
    for name, figure in study.get("figures", {}).items():
        if name not in FIGURES:
            raise UserError(f"figures.{name}: there is no such figure; there are {', '.join(FIGURES)}")
        if unknown := {run for run, *_ in figure.rows} - set(study.runs):
            raise UserError(
                f"figures.{name}.rows names the run '{min(unknown)}'; the study has {', '.join(study.runs)}"
            )


def draw_figures(
    figures: Mapping[str, ConfigDict], seeds: Mapping[str, Outcomes], workdir: Path
) -> tuple[list[str], dict[str, str]]:
    """Write NAME.tsv with the runs that there are, and figures/NAME.png and .pdf.

    Runs of several seeds have a line each. Returns the names of those that were drawn, and why the others were not.
    """
    drawn, obstacles = [], {}
    workdir.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        lines = [
            (*places(name, Path(seed), run), *cells)
            for run, *cells in figure.rows
            for seed, outcomes in seeds.items()
            if run in outcomes
        ]
        header = ("run", *(["model"] * (name == "transfer")), *figure.columns)
        sheet = workdir / f"{name}.tsv"
        write_text(sheet, "".join("\t".join(line) + "\n" for line in (header, *lines)))
        try:
            check_baseline(name, figure, seeds)
            draw_figure([name, "--runs", str(sheet), "--output", str(workdir / "figures" / name)])
            drawn.append(name)
        except UserError as error:
            obstacles[f"figure {name}"] = str(error)
    return drawn, obstacles


def check_baseline(name: str, figure: ConfigDict, seeds: Mapping[str, Outcomes]) -> None:
    """Raise a UserError where a figure of differences to the first run lacks it."""
    baseline, *_ = figure.rows[0]
    if name == "transfer" and not any(baseline in outcomes for outcomes in seeds.values()):
        raise UserError(f"its baseline {baseline} failed")


def places(figure: str, seed: Path, run: str) -> tuple[str, ...]:
    """The first cells of a run's line: where it is, seen from the study's directory."""
    return (str(seed / "transfer"), run) if figure == "transfer" else (str(seed / run),)
