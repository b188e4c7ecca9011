"""What `measure` writes: a run directory for each file, which other programs read, measures.json, figures and the page."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import line_of, read_json, save_arrays, write_json, write_text
from cliptail_jax.host.text import format_number
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.predictions.adjustment import CHOSEN_ON, SEED
from cliptail_jax.predictions.differences import Difference
from cliptail_jax.predictions.measured import Adjusted, Measured, with_adjusted
from cliptail_jax.report.page import write_page
from cliptail_jax.report.pictures import draw_runs
from cliptail_jax.report.style import FORMATS, add_grid, legend_below, save, style
from cliptail_jax.results.run import PREDICTIONS, Run, find_runs
from cliptail_jax.runs.evaluations import ARRAYS, evaluation_directory
from cliptail_jax.runs.files import CONFIG, COUNTS, FREQUENCY, METRICS, SUMMARY
from cliptail_jax.runs.provenance import command, software

MEASURES_FILE, FIGURES = "measures.json", "figures"


def write_results(
    folder: Path, measured: Sequence[Measured], differences: Sequence[Difference], notes: Sequence[str], overwrite: bool
) -> Path:
    """Write all results to a folder, in place of those of an earlier call, and return the page.

    Raises UserError, without `overwrite`, if the folder has a run of the name of a model.
    """
    check_replaced(folder, measured, overwrite)
    remove_earlier(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / MEASURES_FILE, numbers(measured, differences, notes))
    every = with_adjusted(measured)
    for of in every:
        for run in of.group.runs:
            write_run(folder / run.seed / run.name, run)
    figures = {"measures": draw_runs({of.name: of.group for of in every}, "Predictions")}
    figures |= {f"adjustment_{of.name}": draw_adjustment(of.name, of.adjusted) for of in measured if of.adjusted}
    for name, figure in figures.items():
        for kind in FORMATS:  # the name of a file may have a dot
            save(figure, folder / FIGURES / (name + kind))
    return write_page(folder, images=0, title="Predictions", overwrite=overwrite)


def check_replaced(folder: Path, measured: Sequence[Measured], overwrite: bool) -> None:
    """Raise UserError if a directory that is written contains a run that was trained."""
    for workdir in (folder / run.seed / run.name for of in with_adjusted(measured) for run in of.group.runs):
        if (workdir / CONFIG).exists() and not is_of_predictions(workdir) and not overwrite:
            raise UserError(f"{workdir} is a run: choose another --output, or name the file, as in NAME=FILE")


def is_of_predictions(workdir: Path) -> bool:
    return (read_json(workdir / CONFIG) or {}).get("config", {}).get("objective") == PREDICTIONS


def remove_earlier(folder: Path) -> None:
    """Remove the run directories of an earlier call."""
    if not (folder / MEASURES_FILE).exists():
        return
    for run in find_runs(folder):
        if is_of_predictions(run.workdir):
            shutil.rmtree(run.workdir)


def write_run(workdir: Path, run: Run) -> None:
    """Write the files of a run in memory, as an evaluation leaves them."""
    evaluation, results = run.evaluation, run.evaluation.results
    directory = evaluation_directory(workdir, evaluation.on)
    directory.mkdir(parents=True, exist_ok=True)
    write_frequency(workdir / FREQUENCY, evaluation.class_names, results.frequency)
    arrays = {"confusion": evaluation.confusion.astype(np.int64), **results.groups}
    if results.calibration:
        arrays |= {f"calibration_{part}": array for part, array in results.calibration._asdict().items()}
    save_arrays(directory / ARRAYS, **arrays)
    by_class = {key: getattr(results, key).tolist() for key in ("correct", "examples", "predictions")}
    write_text(workdir / METRICS, "".join(map(line_of, run.log)))
    write_text(directory / COUNTS, line_of({"step": 0, "settings": {}} | by_class))
    write_text(directory / SUMMARY, line_of({"step": 0, "settings": {}, **evaluation.summary}))
    origin = {"software": software()} | ({"command": text} if (text := command()) else {})
    write_json(workdir / CONFIG, {**run.noted, **origin})


def numbers(measured: Sequence[Measured], differences: Sequence[Difference], notes: Sequence[str]) -> dict[str, Any]:
    """The content of measures.json. `beyond` is '<' or '>' for a number far outside of the data: JSON has no infinity."""
    return {
        "files": {
            of.name: {
                "seeds": [run.noted["config"][PREDICTIONS] for run in of.group.runs],
                "examples": len(of.labels),
                "classes": len(of.results[0].correct),
                "measures": {key: estimate_numbers(estimate) for key, estimate in of.estimates.items()},
            }
            for of in with_adjusted(measured)
        },
        "differences": [
            {"a": pair.a, "b": pair.b, "measure": key, "margin": claim.margin, "verdict": pair.verdict(key)}
            | (estimate_numbers(claim.difference) if claim.difference else {"obstacle": claim.obstacle})
            for pair in differences
            for key, claim in pair.claims.items()
        ],
        "adjustment": {of.name: adjustment_numbers(of.adjusted) for of in measured if of.adjusted},
        "notes": list(notes),
        "software": software(),
        "command": command(),
    }


def estimate_numbers(estimate: Estimate) -> dict[str, float | str]:
    found = dict(zip(("value", "low", "high"), estimate[:3]))
    return found | ({"beyond": format_number(estimate.value, "")} if np.isinf(estimate.value) else {})


def adjustment_numbers(adjusted: Adjusted) -> dict[str, Any]:
    """τ as chosen on the halves, for each file, and the measures of all examples by τ."""
    return {
        "chosen": [run.config["eval.logit_adjustment"] for run in adjusted.measured.group.runs],
        "chosen_on": CHOSEN_ON,
        "seed_of_halves": SEED,
        "by_tau": [{"tau": tau, **of} for tau, of in adjusted.by_tau.items()],
    }


def draw_adjustment(name: str, adjusted: Adjusted) -> Figure:
    """Accuracies, and the log-odds of being right per decade of frequency, by τ, with a line at each chosen τ."""
    figure = Figure(figsize=(9.6, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    taus = list(adjusted.by_tau)
    keys = ("top1", "mean_per_class", "head", "mid", "tail")
    for axes, shown in ((left, keys), (right, ("odds_acc",))):
        for number, key in enumerate(shown):
            look = style(number if len(shown) > 1 else len(keys))
            title = MEASURES[key].title.removesuffix(" %")
            axes.plot(taus, [of[key] for of in adjusted.by_tau.values()], **look, markersize=4, label=title)
        chosen = " and ".join(run.config["eval.logit_adjustment"] for run in adjusted.measured.group.runs)
        for tau in {float(tau) for tau in chosen.split(" and ")}:
            axes.axvline(tau, color="grey", linewidth=0.8, linestyle=":")
        axes.set_xlabel("τ of logits − τ log n (dotted: chosen on a half)")
        add_grid(axes)
    left.set_ylabel("accuracy (%)")
    right.set_ylabel(MEASURES["odds_acc"].label)
    right.axhline(0, color="black", linewidth=0.8)
    figure.suptitle(f"Post-hoc logit adjustment of {name}", fontsize=12)
    legend_below(figure, columns=6)
    return figure
