"""The figure of trimmed tails: which classes its accuracies are of."""

import numpy as np
import pytest
from synthetic_runs import CLASSES, FREQUENCY, NAMES, write_run

from cliptail_jax.concepts.frequency_tables import write_frequency
from cliptail_jax.curation.selection import trim_tail
from cliptail_jax.figures import trimmed_tail
from cliptail_jax.figures.parts.classes import rarest
from cliptail_jax.figures.parts.sheet import read_sheet
from cliptail_jax.results.evaluation import read_evaluation


def trim(frequency, classes, shots):
    labels = np.repeat(np.arange(len(frequency)), frequency)
    return np.bincount(labels[trim_tail(labels, len(NAMES), classes, shots, seed=0)], minlength=len(frequency))


@pytest.fixture(scope="module")
def trimmed(tmp_path_factory):
    """A folder with the runs sl_CLASSES_SHOTS and clip_CLASSES_SHOTS, the untrimmed sl, and its table of frequencies."""
    folder = tmp_path_factory.mktemp("trimmed")
    for seed, (name, slope) in enumerate({"sl": 0.7, "clip": 0.2}.items()):
        for classes in (3, 8):
            for shots in (0, 1):
                cut = {"data.tail.classes": classes, "data.tail.shots": shots}
                workdir = folder / f"{name}_{classes}_{shots}"
                write_run(workdir, slope, seed, frequency=trim(FREQUENCY, classes, shots), **cut)
    write_run(folder / "sl", 0.7, 5)
    write_frequency(folder / "frequency.tsv", NAMES[::-1], FREQUENCY[::-1])  # tables come in any order
    return folder


ROWS = [(f"{n}_{k}_{s}", n.upper()) for n in ("sl", "clip") for k in (3, 8) for s in (0, 1)] + [("sl", "SL")]


def sheet(folder, rows=ROWS):
    (folder / "sheet.tsv").write_text("\n".join("\t".join(row) for row in (("run", "group"), *rows)))
    return read_sheet(folder / "sheet.tsv", ("run", "group"))


@pytest.mark.parametrize("classes", [1, 5])
def test_the_tail_is_the_empty_classes_and_those_that_were_trimmed_ties_included(classes):
    frequency = np.random.default_rng(1).integers(2, 9, CLASSES)
    frequency[[3, 11]] = 0
    changed = np.flatnonzero(trim(frequency, classes, 1) != frequency)
    tail = rarest(frequency, classes)
    assert len(tail) == classes and list(tail[:2]) == [3, 11][:classes]
    assert sorted(c for c in tail if frequency[c]) == changed.tolist()


def test_panels_show_tail_and_others_by_shots_and_the_untrimmed_run_on_the_same_classes(trimmed):
    figure = trimmed_tail.draw(sheet(trimmed), trimmed / "frequency.tsv")
    one_shot, zero_shot = figure.axes[:2]
    assert (one_shot.get_title(), zero_shot.get_title()) == ("1-shot", "0-shot")
    tails = {k: np.argsort(FREQUENCY, kind="stable")[:k] for k in (3, 8)}
    for axes, shots in zip(figure.axes[2:], (1, 0)):
        assert list(dict.fromkeys(axes.get_legend_handles_labels()[1])) == ["SL", "SL, untrimmed", "CLIP"]
        for name, label in (("sl_{}_{}", "SL"), ("clip_{}_{}", "CLIP"), ("sl", "SL, untrimmed")):
            accuracy = {
                k: read_evaluation(trimmed / name.format(k, shots), "birds:test").accuracy[tails[k]].mean()
                for k in (3, 8)
            }
            assert has_line(axes, [[k, 100 * accuracy[k]] for k in (3, 8)], dashed="untrimmed" in label)
    others = np.setdiff1d(np.arange(CLASSES), tails[3])
    expected = read_evaluation(trimmed / "sl_3_0", "birds:test").accuracy[others].mean()
    at_eight = read_evaluation(trimmed / "sl_8_0", "birds:test").accuracy[np.setdiff1d(np.arange(CLASSES), tails[8])]
    assert has_line(zero_shot, [[3, 100 * expected], [8, 100 * at_eight.mean()]])


def has_line(axes, points, dashed=False):
    drawn = [line.get_xydata() for line in axes.lines if not dashed or line.get_linestyle() == "--"]
    return any(len(xy) == len(points) and np.allclose(xy, points) for xy in drawn)


def test_figure_is_drawn(trimmed, draw):
    rows = [(trimmed / run, group) for run, group in ROWS]
    assert draw("trimmed_tail", "run group", *rows, flags=["--untrimmed", trimmed / "frequency.tsv"]) == ""


def test_runs_without_a_trimmed_tail_and_a_table_of_other_classes_are_errors(trimmed, draw, tmp_path):
    flags = ["--untrimmed", trimmed / "frequency.tsv"]
    assert "none of the runs was trained on a trimmed tail" in draw(
        "trimmed_tail", "run group", ("run_0", "SL"), flags=flags
    )
    write_frequency(tmp_path / "other.tsv", NAMES[:5], FREQUENCY[:5])
    row = (trimmed / "sl_3_0", "SL")
    assert "lacks 19 of the classes" in draw(
        "trimmed_tail", "run group", row, flags=["--untrimmed", tmp_path / "other.tsv"]
    )
