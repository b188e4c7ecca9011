"""What a change in pre-training is worth on other sets: scores of transfer less those of a baseline, set by set (figure 10).

    python -m cliptail_jax.figures transfer --runs models.tsv --output transfer

The sheet:

    run        model        label
    transfer   dino         DINO
    transfer   dino_1024    DINO, 1,024 prototypes sampled

`run` is a work directory of cliptail_jax.transfer, `model` one of it: a model's name, or the end of its path. The first line
is the baseline. Whiskers are 95 % intervals of the difference, ± 1.96 standard errors over classes, or over the episodes
of few-shot; the mean average precision of VOC2007 has none.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from cliptail_jax.errors import UserError
from cliptail_jax.figures.sheet import Entry, Measure, read_sheet
from cliptail_jax.files import load_arrays, read_lines, work_path
from cliptail_jax.plotting.style import COLOURS, bare, legend_below
from cliptail_jax.transfer.program import predictions_path
from cliptail_jax.transfer.report import TITLES

Cell = Mapping[str, Any]  # a line of results.jsonl


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs", type=work_path, required=True, help="the sheet: run, model, label; the first is the baseline"
    )
    parser.add_argument("--method", choices=sorted(TITLES), default="probe", help="(%(default)s)")


def draw(options: argparse.Namespace) -> Figure:
    return draw_transfer(read_sheet(options.runs, ("run", "model", "label")), options.method)


def draw_transfer(entries: Sequence[Entry], method: str) -> Figure:
    """Bars by set, for every model but the baseline; sets that either has not are left out."""
    models = [cells_of(entry, method) for entry in entries]
    sets = [name for name in models[0] if any(name in cells for cells in models[1:])]
    if not sets:
        raise UserError(
            f"{entries[0].where}: no other model has a result on a set of {entries[0]['label']} by {method}"
        )
    figure = Figure(figsize=(max(6.0, 0.8 * len(sets) * max(1, len(models) / 4) + 2), 4.4), layout="constrained")
    axes = figure.subplots()
    width = min(0.8 / max(len(models) - 1, 1), 0.25)
    for i, (entry, cells) in enumerate(zip(entries[1:], models[1:])):
        shown = [place for place, name in enumerate(sets) if name in cells]
        found = [difference(entry, cells[sets[p]], entries[0], models[0][sets[p]]) for p in shown]
        places = np.array(shown) + width * (i - (len(models) - 2) / 2)
        margins = [d.high - d.value for d in found]
        axes.bar(places, [d.value for d in found], width, color=COLOURS[i % len(COLOURS)], label=entry["label"],
                 yerr=margins, error_kw=dict(linewidth=1, capsize=2, ecolor="0.25"))  # fmt: skip
    axes.set_xlim(-0.6, len(sets) - 0.4)
    axes.axhline(0, color="black", linewidth=0.8)
    names = [f"{name}\n({models[0][name]['score']:.1f})" for name in sets]
    axes.set_xticks(range(len(sets)), names, fontsize=8)
    axes.set_ylabel(f"{TITLES[method].lower()}: score less that of\n{entries[0]['label']} (in brackets), points")
    bare(axes)
    axes.grid(visible=False, axis="x")
    legend_below(figure)
    return figure


def cells_of(entry: Entry, method: str) -> dict[str, Cell]:
    """The last result of the model on each set. Raises UserError where the directory has no such model."""
    results = [line for line in read_lines(entry.run / "results.jsonl") if line["method"] == method]
    if not results:
        raise UserError(f"{entry.where}: {entry.run} has no results by {method}")
    wanted = entry["model"]
    known = dict.fromkeys(line["model"] for line in results)
    named = [name for name in known if name == wanted] or [name for name in known if name.endswith(f"/{wanted}")]
    if len(named) != 1:
        what = "several models" if named else "no model"
        raise UserError(f"{entry.where}: {entry.run} has {what} '{wanted}': there are {', '.join(known)}")
    return {line["set"]: line for line in results if line["model"] == named[0]}


def difference(entry: Entry, cell: Cell, base: Entry, base_cell: Cell) -> Measure:
    """Of two scores in points, with its interval where both are means over the same things; else with nan.

    The mean d̄ = Σ w d / Σ w of the things' differences d has the standard error √(Σ (w / w̄)² (d - d̄)² / n) / √n.
    """
    value = cell["score"] - base_cell["score"]
    if asked(cell) != asked(base_cell):
        return Measure(value)
    a, weights = averaged(entry.run, cell)
    b, _ = averaged(base.run, base_cell)
    if a.shape != b.shape or not len(a):
        return Measure(value)
    differences = a - b
    deviations = weights / weights.mean() * (differences - np.average(differences, weights=weights))
    margin = 1.96 * float(np.sqrt(np.mean(deviations**2) / len(deviations)))
    return Measure(value, value - margin, value + margin)


def asked(cell: Cell) -> dict[str, Any]:
    """What two cells share that were measured on the same images and episodes."""
    return {key: value for key, value in cell["settings"].items() if key != "weights"}


def averaged(workdir: Path, cell: Cell) -> tuple[Float[np.ndarray, "thing"], Float[np.ndarray, "thing"]]:
    """What the score is the weighted mean of in percent, and the weights: classes, or episodes; nothing where it is no mean.

    A mean per-class accuracy counts classes alike, an accuracy by their test images.
    """
    arrays = load_arrays(predictions_path(workdir, cell))
    if "accuracies" in arrays:
        return 100 * arrays["accuracies"], np.ones(len(arrays["accuracies"]))
    if "predictions" not in arrays:
        return np.zeros(0), np.zeros(0)
    labels = arrays["labels"]
    present, images = np.unique(labels, return_counts=True)
    right = np.bincount(labels, arrays["predictions"] == labels)[present]
    return 100 * right / images, np.ones(len(images)) if "per-class" in cell["metric"] else images.astype(float)
