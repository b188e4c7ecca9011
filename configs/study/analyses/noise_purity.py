"""Is a class recognized because of the purity of its captions, or because of its number of images?

    python configs/study/analyses/noise_purity.py --workdir=runs/noise [--workdir=runs/noise_cifar100] --output=purity.png

Reads the finished runs of configs/study/noise.py. In a run's training data, n of the captions that name a class (for SL: labels)
are right, and m are wrong. Both are counted. The regression is over all classes of all runs of a study, separately for CLIP
and SL:

    logit P(right) = a + b1 log10((n + ½) / (m + ½)) + b2 log10(n + ½)

b1 is the gain in log-odds of being right for ten times the odds of purity, n / m, at equal n. b2 is the gain for ten times as many
images at equal purity. The table also has the slopes of each alone. Adding ½ keeps the odds finite for classes that no wrong
caption names. The likelihood is that of independent examples. Intervals are 95 % percentiles over resamples of the classes with
all their runs, and do not cover other seeds.

Without noise, purity is 1 for any n, and its odds are infinite. The first line leaves these runs out. The second line includes
them with odds of 2 n + 1, from the same ½. That is a choice, not a measurement, so conclusions should not depend on it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cliptail_jax.config.training import BY_FREQUENCY, UNIFORM
from cliptail_jax.curation.noise import right_and_wrong
from cliptail_jax.datasets.build import draw_missing
from cliptail_jax.host.errors import UserError, command_line
from cliptail_jax.metrics.bootstrap import percentiles
from cliptail_jax.metrics.odds import TICKS, log_odds
from cliptail_jax.report.layout import cell, markdown, text_table
from cliptail_jax.report.style import add_grid, legend_below, save, style
from cliptail_jax.report.training_images import training_variant
from cliptail_jax.results.run import Run
from configs.study.analyses.regression import fit, read_runs, weights_of_resamples

GROUPS = 10  # of classes, in the picture
SAMPLINGS = {UNIFORM: "uniform", BY_FREQUENCY: "by class frequency"}
COLUMNS = ("study", "loss", "runs", "b1: purity, at equal n", "b2: n, at equal purity", "purity alone", "n alone")


class Cells(NamedTuple):
    """The classes of a run: counts of its training data, and of the evaluation's examples."""

    name: str
    loss: str
    right: Int[np.ndarray, " class"]
    wrong: Int[np.ndarray, " class"]
    correct: Int[np.ndarray, " class"]
    examples: Int[np.ndarray, " class"]


def cells_of(run: Run) -> Cells:
    draw_missing([run.config["data.name"]], run.config["data.data_dir"])
    variant = training_variant(run)
    is_sl = run.config["objective"] == "supervised"
    labels = variant.training_view.labels if is_sl else variant.captions.classes
    counts, results = right_and_wrong(variant.labels, labels, len(variant.class_names)), run.evaluation.results
    return Cells(run.name, "SL" if is_sl else "CLIP", *counts, results.correct, results.examples)


def terms(right: Int[np.ndarray, " row"], wrong: Int[np.ndarray, " row"]) -> Float[np.ndarray, "row 3"]:
    """1, log10 of the odds of purity and log10 of the number of right captions, each with ½ added."""
    n, m = right + 0.5, wrong + 0.5
    return np.stack([np.ones(len(n)), np.log10(n / m), np.log10(n)], axis=1)


def estimates(runs: Sequence[Cells]) -> list[str]:
    """b1, b2, and the slopes of purity and of n alone, with intervals."""
    classes = len(runs[0].right)
    times = np.concatenate([np.ones((1, classes)), *weights_of_resamples(classes)])
    right, wrong, correct, examples = (np.concatenate(counts) for counts in list(zip(*runs))[2:])
    x, weights = terms(right, wrong), np.tile(times, len(runs))
    joint, purity, images = (fit(x[:, columns], correct, examples, weights) for columns in ([0, 1, 2], [0, 1], [0, 2]))
    slopes = joint[:, 1], joint[:, 2], purity[:, 1], images[:, 1]
    return [cell(b[0], ".2f", percentiles(b[1:])).text for b in slopes]


def draw(axes: Axes, runs: Sequence[Cells]) -> None:
    """Accuracy against odds of purity of groups of classes of similar frequency, for each kind of noise and share."""
    for number, name in enumerate(dict.fromkeys(cells.name for cells in runs if cells.wrong.any())):
        counts = np.concatenate([np.stack(cells[2:]) for cells in runs if cells.name == name], axis=1)
        groups = np.array_split(counts[:, np.argsort(counts[0], kind="stable")], GROUPS, axis=1)
        n, m, correct, examples = np.stack([group.sum(axis=1) for group in groups], axis=1)
        sampling, _, percent = name.partition("_")[2].rpartition("_")
        label = f"{percent} % wrong, {SAMPLINGS[sampling]}"
        axes.plot((n + 0.5) / (m + 0.5), log_odds(correct / examples), **style(number) | {"linestyle": ""}, label=label)
    axes.set_yticks(log_odds(np.array(TICKS) / 100), [f"{tick:g}" for tick in TICKS])
    axes.set(xscale="log", xlabel="right captions (labels) per wrong one", ylabel="accuracy (%)")
    add_grid(axes)


@command_line
def main(arguments: Sequence[str] | None = None) -> None:
    (output, study_runs), panels, rows = read_runs(__doc__, arguments), {}, []
    for study, run in study_runs:
        if run.evaluation:
            cells = cells_of(run)
            panels.setdefault((study, cells.loss), []).append(cells)
    panels = {key: runs for key, runs in panels.items() if any(cells.wrong.any() for cells in runs)}
    if not panels:
        raise UserError("no finished run has wrong captions or labels: give the --workdir of configs/study/noise.py")
    has_studies = len({study for study, _ in panels}) > 1
    figure = Figure(figsize=(4.2 * len(panels), 4), layout="constrained")
    for axes, ((study, loss), runs) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items()):
        for name, selection in (("with noise", [cells for cells in runs if cells.wrong.any()]), ("all", runs)):
            rows.append([study, loss, f"{len(selection)}, {name}", *estimates(selection)])
        draw(axes, runs)
        axes.set_title(f"{loss}, {Path(study).name}" if has_studies else loss, fontsize=10)
    legend_below(figure)
    save(figure, output)
    print("\n".join(markdown(text_table(COLUMNS, rows))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
