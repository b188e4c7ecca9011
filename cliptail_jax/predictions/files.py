"""What `measure` writes: a run directory for each file, which other programs read, measures.json, figures and the page."""

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import files_below, is_remote, line_of, read_json, save_arrays, write_json, write_text
from cliptail_jax.host.outputs import check_output, check_writable_folder, is_same
from cliptail_jax.host.text import format_number
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.predictions.adjustment import CHOSEN_ON, SEED
from cliptail_jax.predictions.differences import Difference
from cliptail_jax.predictions.measured import ON, Adjusted, Measured, with_adjusted
from cliptail_jax.report.page import PAGE, is_page, write_page
from cliptail_jax.report.pictures import draw_runs
from cliptail_jax.report.style import FORMATS, add_grid, is_picture, legend_below, save, style
from cliptail_jax.results.evaluated import EvaluatedModel
from cliptail_jax.results.evaluation import confusion_arrays
from cliptail_jax.results.run import PREDICTIONS, find_runs
from cliptail_jax.runs.evaluations import ARRAYS, CALIBRATION, evaluation_directory
from cliptail_jax.runs.files import CONFIG, COUNTS, FREQUENCY, METRICS, SUMMARY
from cliptail_jax.runs.lock import FILE as LOCK
from cliptail_jax.runs.lock import sole_process
from cliptail_jax.runs.provenance import command, software

MEASURES_FILE, FIGURES = "measures.json", "figures"


@contextlib.contextmanager
def results_folder(folder: Path) -> Iterator[None]:
    """Locks the folder of results in this context. New folders that an error leaves without results are removed again.

    Raises InUseError if another program writes to it.
    """
    new = [] if is_remote(folder) else [path for path in (folder, *folder.parents) if not path.exists()]
    with sole_process(folder, "--output"):
        try:
            yield
        except BaseException:
            if new and [path.name for path in folder.iterdir()] == [LOCK]:
                (folder / LOCK).unlink()
                for path in new:
                    path.rmdir()
            raise


def write_results(
    folder: Path, measured: Sequence[Measured], differences: Sequence[Difference], notes: Sequence[str], overwrite: bool
) -> Path:
    """Write all results to a folder, in place of those of an earlier call, and return the page.

    Raises UserError, without `overwrite`, if the folder has something else in their places.
    """
    every = with_adjusted(measured)
    workdirs = {folder / run.seed / run.name: run for of in every for run in of.group.runs}
    figures = {"measures": draw_runs({of.name: of.group for of in every}, "Predictions")}
    figures |= {f"adjustment_{of.name}": draw_adjustment(of.name, of.adjusted) for of in measured if of.adjusted}
    check_results(folder, workdirs, figures, (), overwrite)  # once more: measuring may take minutes
    remove_earlier(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / MEASURES_FILE, numbers(measured, differences, notes))
    for workdir, run in workdirs.items():
        write_run(workdir, run)
    for name, figure in figures.items():
        for kind in FORMATS:  # the name of a file may have a dot
            save(figure, folder / FIGURES / (name + kind))
    return write_page(folder, images=0, title="Predictions", overwrite=overwrite)


def check_results(
    folder: Path, workdirs: Iterable[Path], figures: Iterable[str], inputs: Iterable[str], overwrite: bool
) -> None:
    """Raise UserError if results would be written beside other things, or in place of something that `measure` did not write.

    Args:
        workdirs: the run directories that are written, in the folder.
        figures: the names of the pictures.
        inputs: the files that are read, which must not be among those that are replaced, even with `overwrite`.
    """
    check_writable_folder(folder)
    if not folder.exists():
        return
    others = [path for path in folder.iterdir() if path.name != LOCK and not path.name.startswith(".")]
    if others and not (folder / MEASURES_FILE).exists() and not overwrite:
        raise UserError(
            f"{folder} contains {min(others).name}, and no results of measure: choose another --output, or pass --overwrite"
        )
    pictures = [folder / FIGURES / (name + kind) for name in figures for kind in FORMATS]
    replaced = {folder / MEASURES_FILE: is_measures, folder / PAGE: is_page} | dict.fromkeys(pictures, is_picture)
    for path, is_own in replaced.items():
        check_output(path, is_own, overwrite=overwrite)
    directories = dict.fromkeys([*earlier_directories(folder), *workdirs])
    for workdir in directories if not overwrite else ():
        if (workdir / CONFIG).exists() and not is_of_predictions(workdir):
            raise UserError(f"{workdir} is a run: choose another --output, or name the file, as in NAME=FILE")
        if other := foreign_file(workdir):
            raise UserError(f"{other} is not a file that measure wrote: move it, or choose another --output")
    written = [*replaced, *(path for workdir in directories for path in files_of_run(workdir))]
    for path in inputs:
        if any(is_same(path, other) for other in written):
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
    """The files of a run directory as `write_run` writes them. config.json, by which it is recognized, is the last."""
    directory = evaluation_directory(workdir, ON)
    return [*(directory / name for name in (ARRAYS, COUNTS, SUMMARY)), workdir / FREQUENCY, workdir / METRICS, workdir / CONFIG]  # fmt: skip


def foreign_file(workdir: Path) -> Path | None:
    """A file in the place of a run directory that `write_run` did not write, or a link in this place; None without one."""
    if not is_remote(workdir) and (os.path.islink(workdir) or os.path.isfile(workdir)):
        return workdir
    if not workdir.exists():
        return None
    own = files_of_run(workdir) if is_of_predictions(workdir) else []
    return min((path for path in files_below(workdir) if path not in own), default=None)


def remove_earlier(folder: Path) -> None:
    """Remove the run directories of an earlier call: the files that it wrote, and the folders that are then empty."""
    for workdir in earlier_directories(folder):
        for path in files_of_run(workdir):
            path.unlink(missing_ok=True)
        for emptied in (evaluation_directory(workdir, ON), workdir / "eval", workdir, workdir.parent):
            if not is_remote(folder) and emptied != folder and emptied.exists() and not any(emptied.iterdir()):
                emptied.rmdir()


def write_run(workdir: Path, run: EvaluatedModel) -> None:
    """Write the files of a run with this evaluation."""
    evaluation, results = run.evaluation, run.evaluation.results
    directory = evaluation_directory(workdir, evaluation.on)
    directory.mkdir(parents=True, exist_ok=True)
    write_frequency(workdir / FREQUENCY, evaluation.class_names, results.frequency)
    arrays = confusion_arrays(evaluation.confusion) | {"per_class_accuracy": results.accuracy}
    arrays |= {"per_class_predictions": results.predictions, **results.groups}
    if results.calibration:
        arrays |= dict(zip(CALIBRATION, results.calibration))
    save_arrays(directory / ARRAYS, **arrays)
    by_class = {key: getattr(results, key).tolist() for key in ("correct", "examples", "predictions")}
    write_text(workdir / METRICS, "".join(line_of({"step": 0, "warning": warning}) for warning in run.warnings))
    write_text(directory / COUNTS, line_of({"step": 0, "settings": {}} | by_class))
    write_text(directory / SUMMARY, line_of({"step": 0, "settings": {}, **evaluation.summary}))
    origin = {"software": software()} | ({"command": text} if (text := command()) else {})
    write_json(workdir / CONFIG, {"config": run.config, "finished": {}, **origin})


def numbers(measured: Sequence[Measured], differences: Sequence[Difference], notes: Sequence[str]) -> dict[str, Any]:
    """The content of measures.json. `beyond` is '<' or '>' for a number far outside of the data: JSON has no infinity."""
    return {
        "files": {
            of.name: {
                "seeds": [run.config[PREDICTIONS] for run in of.group.runs],
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
