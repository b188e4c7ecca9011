"""The effect of pre-training on transfer: scores minus those of a baseline, set by set (figure 10).

    cliptail figures transfer --runs models.tsv --output transfer

The sheet:

    run        model        label
    transfer   dino         DINO
    transfer   dino_1024    DINO, 1,024 prototypes sampled

`run` is a work directory of cliptail_jax.transfer, and `model` the name of a model in it, or the end of its path. The first
line is the baseline. Whiskers are 95 % intervals of the difference, ± 1.96 standard errors over classes or, for few-shot,
over episodes; the mean average precision of VOC2007 has none.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from cliptail_jax.figures.parts import sheet
from cliptail_jax.figures.parts.sheet import Entry
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import load_arrays
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.report.style import add_grid, legend_below, styles
from cliptail_jax.results.transfers import METHODS, Transfer, predictions_path, read_transfers

COLUMNS = ("run", "model", "label")
OPTIONS = {
    "--method": {
        "choices": ("finetune", "few_shot", "probe"),
        "default": "probe",
        "help": "transfer method (%(default)s)",
    }
}


def draw(entries: Sequence[Entry], method: str = "probe") -> Figure:
    """A bar for each model but the baseline on each set on which both have a result."""
    base, models = entries[0], entries[1:]
    base_results, *results = [results_by_set(entry, method) for entry in entries]
    sets = [name for name in base_results if any(name in model_results for model_results in results)]
    if not sets:
        raise UserError(f"{base.location}: no other model has a result on a set of {base['label']} by {method}")
    figure = Figure(figsize=(max(6.0, 0.8 * len(sets) * max(1, len(entries) / 4) + 2), 4.4), layout="constrained")
    axes = figure.subplots()
    width, looks = min(0.8 / len(models), 0.25), styles(entry["label"] for entry in entries)
    for i, (entry, model_results) in enumerate(zip(models, results)):
        numbers = [number for number, name in enumerate(sets) if name in model_results]
        differences = [difference(entry, model_results[sets[n]], base, base_results[sets[n]]) for n in numbers]
        places = np.array(numbers) + width * (i - (len(models) - 1) / 2)
        whiskers = dict(
            yerr=[d.high - d.value for d in differences], error_kw=dict(linewidth=1, capsize=2, ecolor="0.25")
        )
        colour = looks[entry["label"]]["color"]
        axes.bar(places, [d.value for d in differences], width, color=colour, label=entry["label"], **whiskers)
    axes.set_xlim(-0.6, len(sets) - 0.4)
    axes.axhline(0, color="black", linewidth=0.8)
    names = [f"{name}\n({base_results[name]['score']:.1f})" for name in sets]
    axes.set_xticks(range(len(sets)), names, fontsize=8)
    axes.set_ylabel(f"{METHODS[method].lower()}: score less that of\n{base['label']} (in brackets), points")
    add_grid(axes)
    axes.grid(visible=False, axis="x")
    legend_below(figure)
    return figure


def results_by_set(entry: Entry, method: str) -> dict[str, Transfer]:
    """The model's last result on each set. Raises UserError if the directory has none, or no such model."""
    results = [line for line in read_transfers(entry.run) if line["method"] == method]
    if not results:
        raise UserError(f"{entry.location}: {entry.run} has no results by {method}")
    model = entry["model"]
    names = dict.fromkeys(line["model"] for line in results)
    matches = [name for name in names if name == model] or [name for name in names if name.endswith(f"/{model}")]
    if len(matches) != 1:
        number = "several models" if matches else "no model"
        raise UserError(f"{entry.location}: {entry.run} has {number} '{model}': there are {', '.join(names)}")
    return {line["set"]: line for line in results if line["model"] == matches[0]}


def difference(entry: Entry, result: Transfer, base: Entry, base_result: Transfer) -> Estimate:
    """The difference of two scores in points, with its interval if both are means over the same classes or episodes.

    The mean d̄ = Σ w d / Σ w of n differences d has the standard error √(Σ (w / w̄)² (d - d̄)² / n) / √n.
    """
    value = result["score"] - base_result["score"]
    if settings(result) != settings(base_result):
        return Estimate(value)
    a, weights = averaged(entry.run, result)
    b, _ = averaged(base.run, base_result)
    if a.shape != b.shape or not len(a):
        return Estimate(value)
    differences = a - b
    deviations = weights / weights.mean() * (differences - np.average(differences, weights=weights))
    margin = 1.96 * float(np.sqrt(np.mean(deviations**2) / len(deviations)))
    return Estimate(value, value - margin, value + margin)


def settings(result: Transfer) -> dict[str, Any]:
    """The settings that are equal for results on the same images and episodes."""
    return {key: value for key, value in result["settings"].items() if key != "weights"}


def averaged(workdir: Path, result: Transfer) -> tuple[Float[np.ndarray, " part"], Float[np.ndarray, " part"]]:
    """The accuracies in percent whose weighted mean is the score, and their weights; empty if it is not a mean.

    They are accuracies of episodes, or of classes, weighted by test images or, in a mean per-class accuracy, equally.
    """
    arrays = load_arrays(predictions_path(workdir, result))
    if "accuracies" in arrays:
        return 100 * arrays["accuracies"], np.ones(len(arrays["accuracies"]))
    if "predictions" not in arrays:
        return np.zeros(0), np.zeros(0)
    labels = arrays["labels"]
    present, images = np.unique(labels, return_counts=True)
    correct = np.bincount(labels, arrays["predictions"] == labels)[present]
    return 100 * correct / images, np.ones(len(images)) if "per-class" in result["metric"] else images.astype(float)


def study_lines(
    columns: Sequence[str], rows: Sequence[Sequence[str]], seeds: Mapping[str, Collection[str]]
) -> list[tuple[str, ...]]:
    """The lines of a study's sheet, whose runs are models of the transfer of their seed. Raises UserError without a baseline."""
    baseline, *_ = rows[0]
    if not any(baseline in names for names in seeds.values()):
        raise UserError(f"its baseline {baseline} failed")
    _, *lines = sheet.study_lines(columns, rows, seeds)
    models = [(str(Path(run).parent / "transfer"), Path(run).name, *cells) for run, *cells in lines]
    return [("run", "model", *columns), *models]
