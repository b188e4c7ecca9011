"""The results of `measure`: run directories, which other programs read, measures.json, figures and the page."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cliptail_jax.claims.judged import judge_contents
from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import files_below, is_remote, line_of, read_json, write_json, write_text
from cliptail_jax.host.outputs import check_output, check_writable_folder, is_same
from cliptail_jax.host.text import format_number
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.predictions.adjustment import CHOSEN_ON, SEED
from cliptail_jax.predictions.differences import Difference
from cliptail_jax.predictions.evaluations import SET_NAME
from cliptail_jax.predictions.measured import Adjusted, Measured, with_adjusted
from cliptail_jax.report.adjustment import draw_adjustment
from cliptail_jax.report.page import PAGE, is_page, write_page
from cliptail_jax.report.pictures import draw_runs
from cliptail_jax.report.style import FORMATS, is_picture, save
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.evaluated import EvaluatedModel
from cliptail_jax.results.run import PREDICTIONS, find_runs
from cliptail_jax.runs.evaluations import ARRAYS, ClassArrays, add_summary, evaluation_directory, write_class_arrays
from cliptail_jax.runs.files import CONFIG, COUNTS, FREQUENCY, METRICS, SUMMARY
from cliptail_jax.runs.lock import FILE as LOCK
from cliptail_jax.runs.provenance import command, software

MEASURES_FILE, FIGURES = "measures.json", "figures"


def write_results(
    folder: Path, models: Sequence[Measured], differences: Sequence[Difference], notes: Sequence[str], overwrite: bool
) -> Path:
    """Write all results to a folder, where they replace those of an earlier call, and return the page.

    Raises UserError if they would replace anything else, unless `overwrite` is set.
    """
    all_measured = with_adjusted(models)
    workdirs = {folder / run.seed / run.name: run for m in all_measured for run in m.group.runs}
    figures = {"measures": draw_runs({m.name: m.group for m in all_measured}, "Predictions")}
    for m in models:
        if m.adjusted:
            taus = {tau for tau_or_taus in selected_taus(m.adjusted) for tau in np.atleast_1d(tau_or_taus).tolist()}
            figures[f"adjustment_{m.name}"] = draw_adjustment(m.name, m.adjusted.by_tau, taus)
    check_results(folder, workdirs, figures, (), overwrite)  # again, because measuring may take minutes
    remove_earlier(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / MEASURES_FILE, numbers(models, differences, notes))
    for workdir, run in workdirs.items():
        write_run(workdir, run)
    for name, figure in figures.items():
        for kind in FORMATS:  # appended, because names of files may have dots
            save(figure, folder / FIGURES / (name + kind))
    advice = {m.advice: m.adjusted.code for m in models if m.adjusted}
    contents = judge_contents(read_directory(folder))
    return write_page([contents], images=0, title="Predictions", overwrite=overwrite, advice=advice)


def check_results(
    folder: Path, workdirs: Iterable[Path], figures: Iterable[str], inputs: Iterable[str], overwrite: bool
) -> None:
    """Raise UserError if results would be written beside other files, or would replace files that `measure` did not write.

    Args:
        workdirs: the run directories that will be written, in the folder.
        figures: the names of the pictures.
        inputs: the files that `measure` reads. Results must not replace them, even with `overwrite`.
    """
    check_writable_folder(folder)
    if not folder.exists():
        return
    contents = [path for path in folder.iterdir() if path.name != LOCK and not path.name.startswith(".")]
    if contents and not (folder / MEASURES_FILE).exists() and not overwrite:
        raise UserError(
            f"{folder} contains {min(contents).name}, and no results of measure: choose another --output, or pass --overwrite"
        )
    pictures = [folder / FIGURES / (name + kind) for name in figures for kind in FORMATS]
    outputs = {folder / MEASURES_FILE: is_measures, folder / PAGE: is_page} | dict.fromkeys(pictures, is_picture)
    for path, is_own in outputs.items():
        check_output(path, is_own, overwrite=overwrite)
    directories = dict.fromkeys([*earlier_directories(folder), *workdirs])
    for workdir in directories if not overwrite else ():
        if (workdir / CONFIG).exists() and not is_of_predictions(workdir):
            raise UserError(f"{workdir} is a run: choose another --output, or name the file, as in NAME=FILE")
        if file := foreign_file(workdir):
            raise UserError(f"{file} is not a file that measure wrote: move it, or choose another --output")
    files = [*outputs, *(path for workdir in directories for path in files_of_run(workdir))]
    for path in inputs:
        if any(is_same(path, file) for file in files):
            raise UserError(f"{path} is an input, and would be replaced: choose another --output")


def is_measures(path: Path) -> bool:
    return {"files", "differences", "adjustment"} <= read_json(path).keys()


def is_of_predictions(workdir: Path) -> bool:
    return (read_json(workdir / CONFIG) or {}).get("config", {}).get("objective") == PREDICTIONS


def earlier_directories(folder: Path) -> list[Path]:
    """The run directories of an earlier call."""
    if not (folder / MEASURES_FILE).exists():
        return []
    return [run.workdir for run in find_runs(folder) if is_of_predictions(run.workdir)]


def files_of_run(workdir: Path) -> list[Path]:
    """The files that `write_run` writes in a run directory. The last one is config.json, which identifies the directory."""
    directory = evaluation_directory(workdir, SET_NAME)
    return [*(directory / name for name in (ARRAYS, COUNTS, SUMMARY)), workdir / FREQUENCY, workdir / METRICS, workdir / CONFIG]  # fmt: skip


def foreign_file(workdir: Path) -> Path | None:
    """A file in a run directory that `write_run` did not write, or a file or link in its place; None if there is none."""
    if not is_remote(workdir) and (os.path.islink(workdir) or os.path.isfile(workdir)):
        return workdir
    if not workdir.exists():
        return None
    own_files = files_of_run(workdir) if is_of_predictions(workdir) else []
    return min((path for path in files_below(workdir) if path not in own_files), default=None)


def remove_earlier(folder: Path) -> None:
    """Remove the run directories of an earlier call: the files that it wrote, and then folders that are empty."""
    for workdir in earlier_directories(folder):
        for path in files_of_run(workdir):
            path.unlink(missing_ok=True)
        for path in (evaluation_directory(workdir, SET_NAME), workdir / "eval", workdir, workdir.parent):
            if not is_remote(folder) and path != folder and path.exists() and not any(path.iterdir()):
                path.rmdir()


def write_run(workdir: Path, run: EvaluatedModel) -> None:
    """Write the files of a run with this evaluation, which replace those of an earlier one."""
    evaluation, results = run.evaluation, run.evaluation.results
    directory = evaluation_directory(workdir, evaluation.set_name)
    directory.mkdir(parents=True, exist_ok=True)
    for path in files_of_run(workdir):
        path.unlink(missing_ok=True)
    write_frequency(workdir / FREQUENCY, evaluation.class_names, results.frequency)
    write_text(workdir / METRICS, "".join(line_of({"step": 0, "warning": warning}) for warning in run.warnings))
    write_class_arrays(directory, ClassArrays(evaluation.confusion, results.groups, results.calibration))
    add_summary(directory, {"step": 0, "settings": {}, **run.summary}, results)
    origin = {"software": software()} | ({"command": text} if (text := command()) else {})
    write_json(workdir / CONFIG, {"config": run.config, "finished": {}, **origin})


def numbers(models: Sequence[Measured], differences: Sequence[Difference], notes: Sequence[str]) -> dict[str, Any]:
    """The content of measures.json. JSON has no infinity: `beyond` is '<' or '>' for a number far outside of the data."""
    return {
        "files": {
            m.name: {
                "seeds": [run.config[PREDICTIONS] for run in m.group.runs],
                "examples": len(m.labels),
                "classes": len(m.results[0].correct),
                "measures": {key: estimate_numbers(estimate) for key, estimate in m.estimates.items()},
            }
            for m in with_adjusted(models)
        },
        "differences": [
            {"a": pair.a, "b": pair.b, "measure": key, "margin": claim.margin, "verdict": pair.verdict(key)}
            | (estimate_numbers(claim.difference) if claim.difference else {"obstacle": claim.obstacle})
            for pair in differences
            for key, claim in pair.claims.items()
        ],
        "advice": [m.advice for m in models if m.adjusted],
        "adjustment": {m.name: adjustment_numbers(m.adjusted) for m in models if m.adjusted},
        "notes": list(notes),
        "software": software(),
        "command": command(),
    }


def estimate_numbers(estimate: Estimate) -> dict[str, float | str]:
    bound = {"beyond": format_number(estimate.value, "")} if np.isinf(estimate.value) else {}
    return dict(zip(("value", "low", "high"), estimate[:3])) | bound


def adjustment_numbers(adjusted: Adjusted) -> dict[str, Any]:
    """The τ to use, those that were chosen on the halves of each file, and the measures of all examples by τ."""
    return {
        "tau": adjusted.tau,
        "code": adjusted.code,
        "chosen": selected_taus(adjusted),
        "chosen_on": CHOSEN_ON,
        "seed_of_halves": SEED,
        "by_tau": [{"tau": tau, **measures} for tau, measures in adjusted.by_tau.items()],
    }


def selected_taus(adjusted: Adjusted) -> list[float | list[float]]:
    """For each file, the τ that was chosen on both halves, or those that were chosen on them."""
    return [run.config["eval.logit_adjustment"] for run in adjusted.cross_validation.group.runs]
