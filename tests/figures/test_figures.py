"""Every figure, drawn by its command from the sheet of a few made-up runs; and what it refuses."""

import re
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from pictures import check_texts
from synthetic_runs import FREQUENCY, NAMES, write_run

from cliptail_jax import figures
from cliptail_jax.concepts.frequency_tables import write_frequency
from cliptail_jax.errors import UserError
from cliptail_jax.figures import (
    calibration,
    captions_vocabulary,
    corpora,
    example_classes,
    laionet,
    scale,
    tail_similarity,
)
from cliptail_jax.figures.__main__ import main
from cliptail_jax.figures.feature_maps import tsne
from cliptail_jax.figures.parts import lines
from cliptail_jax.figures.parts.classes import class_centres, spread_classes
from cliptail_jax.figures.parts.sheet import read_sheet
from cliptail_jax.files import line_of, read_lines
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.results.evaluation import read_evaluation
from cliptail_jax.runs import last_evaluation, read_arrays

SCALE = [
    ("run_0", "random text tower", "1,000"),
    ("run_1", "random text tower", "2,000"),
    ("run_5", "SL", "2,000"),
    ("twin", "SL", "2,000"),
    ("run_4", "reference", ""),
]
CORPORA = [
    ("run_0", "birds:test+birds_v2", "CLIP", "cc12m", "RN50"),
    ("run_1", "birds:test+birds_v2", "CLIP", "laion400m", "ViT-B/32"),
    ("run_5", "birds:test", "SL", "cc12m", "RN50"),
]


TOY = '''"""A dot for each run.

The sheet has the column run.
"""

from matplotlib.figure import Figure

COLUMNS = ("run",)


def draw(entries):
    figure = Figure(layout="constrained")
    figure.subplots().plot([entry.measure("top1").value for entry in entries], "ko")
    return figure
'''


def test_a_figure_is_its_module(draw, tmp_path, monkeypatch, capsys):
    (tmp_path / "dots.py").write_text(TOY)
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path)])
    assert draw("dots", "run", ("run_0",), ("run_1",)) == ""
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert "A dot for each run." in listed and "The sheet has" not in listed
    names = ["class_frequency", "corpora", "captions_vocabulary", "scale", "diversity", "open_world", "trimmed_tail"]
    names += [
        "tail_similarity",
        "feature_maps",
        "transfer",
        "laionet",
        "fine_grained",
        "example_classes",
        "calibration",
        "dots",
    ]
    assert list(figures.figure_modules()) == names
    assert re.findall(r"^    (\w+)", listed, re.MULTILINE) == names


def test_scale(draw):
    assert draw("scale", "run group x", *SCALE) == ""


def test_scale_with_other_measures(draw):
    assert draw("scale", "run group x", *SCALE, flags=["--measures", "top5", "image_image_similarity"]) == ""


def test_runs_of_a_scale_without_numbers_stand_at_their_own(draw, birds):
    assert draw("scale", "run group", ("run_0", "CLIP"), ("run_1", "SL")) == ""
    (entry,) = entries(birds, "own", "run group", ("run_0", "CLIP"))
    assert scale.with_images(entry)["x"] == str(FREQUENCY.sum())
    assert "there is no run in" in draw("scale", "run group", ("none", "CLIP"))


def test_diversity_with_a_row_of_panels_for_each_axis(draw):
    rows = [(run, group, x, "threshold") for run, group, x in SCALE]
    words = [("run_0", "SL", "LAIONet", "frequencies"), ("run_1", "SL", "matched to another", "frequencies")]
    assert draw("diversity", "run group x axis", *rows, *words) == ""


def test_open_world(draw):
    rows = [(f"run_{i}", "CLIP", f"{10**i} classes and then some more") for i in range(6)]
    assert draw("open_world", "run group x", *rows) == ""


def test_words_and_numbers_below_an_axis_do_not_touch(birds):
    words = ("100 classes", "1,000 classes", "1,000 classes, all images")
    rows = [(f"run_{i}", "CLIP", word, "concepts") for i, word in enumerate(words)]
    rows += [(f"run_{i}", "CLIP", x, "threshold") for i, x in enumerate(("0.7", "0.75", "0.8", "0.82"))]
    rows += [(f"run_{i}", "CLIP", x, "images") for i, x in enumerate(("1", "2", "4", "1024"))]
    of_runs = entries(birds, "ticks", "run group x axis", *rows)
    figure = lines.draw_along(of_runs, ["top1", "corr_acc", "corr_pred"], "", logarithmic=False)
    check_texts(figure)
    assert [text.get_text() for text in figure.axes[3].get_xticklabels()] == ["0.7", "0.75", "0.8", "0.82"]


def test_captions_vocabulary(draw):
    heads = ("random", "frozen")
    rows = [(f"run_{i}", "SL" if i % 2 else "CLIP", heads[i // 3], f"caption {i}") for i in range(6)]
    assert draw("captions_vocabulary", "run group head label", *rows) == ""
    assert draw("captions_vocabulary", "run group head", *(row[:3] for row in rows), flags=["--plain"]) == ""


def test_corpora(draw):
    assert draw("corpora", "run set kind corpus backbone", *CORPORA) == ""
    assert draw("corpora", "run set kind corpus backbone", *CORPORA, flags=["--plain"]) == ""


def test_ten_corpora_and_21_backbones_are_told_apart(birds):
    backbones = [f"xlm-roberta-large-ViT-{i}" for i in range(21)]
    rows = [
        (f"run_{i % 6}", "birds:test+birds_v2", "CLIP", f"a long corpus {i % 10}", name)
        for i, name in enumerate(backbones)
    ]
    figure = corpora.draw(entries(birds, "many", "run set kind corpus backbone", *rows))
    check_texts(figure)
    points = figure.axes[-1].collections
    looks = {(p.get_paths()[0].vertices.tobytes(), p.get_edgecolor().tobytes()) for p in points}
    assert len(points) == len(looks) == 21


def test_more_corpora_than_there_are_colours_are_an_error(draw):
    rows = [("run_0", "CLIP", f"corpus {i}", "RN50") for i in range(13)]
    complaint = draw("corpora", "run kind corpus backbone", *rows)
    assert "13 different cells under 'corpus', but the figure can tell 12 apart: draw fewer" in complaint


def test_fine_grained(draw):
    assert draw("fine_grained", "run set corpus", *((run, sets, corpus) for run, sets, _, corpus, _ in CORPORA)) == ""


def test_calibration(draw):
    rows = [(f"run_{i}", f"run {i}") for i in range(6)]
    assert draw("calibration", "run label", *rows) == ""
    assert draw("calibration", "run label", *rows[:2]) == ""


def test_reliability_is_that_of_the_classes_of_each_group(birds):
    (axes,) = calibration.draw(entries(birds, "reliable", "run label", ("run_3", "CLIP"))).axes
    check_texts(axes.figure)
    arrays = read_arrays(birds / "run_3", "birds:test")
    summary = last_evaluation(birds / "run_3", "birds:test")
    for name, line in zip(("head", "mid", "tail"), axes.lines[1:], strict=True):
        examples, confidence, correct = (
            sum(arrays[f"calibration_{of}"][c] for c in arrays[name]) for of in ("examples", "confidence", "correct")
        )
        expected = [
            (100 * p / n, 100 * right / n) for n, p, right in zip(examples, confidence, correct, strict=True) if n
        ]
        np.testing.assert_allclose(line.get_xydata(), expected)
        assert f"{line.get_label()} {summary[f'overconfidence_{name}']:+.1f}" in axes.get_title()


def test_a_run_that_was_evaluated_before_calibration_was_measured_is_named(draw, birds):
    write_run(birds / "old")
    path = birds / "old" / "eval" / "birds_test" / "latest.npz"
    with np.load(path) as arrays:
        kept = {key: value for key, value in arrays.items() if not key.startswith("calibration")}
    np.savez(path, **kept)
    complaint = draw("calibration", "run label", ("run_0", "SL"), ("old", "CLIP"))
    assert "line 3: " in complaint and "old has no calibration on birds:test: evaluate it again" in complaint


def test_tail_similarity(draw):
    assert draw("tail_similarity", "run label", ("run_0", "CLIP"), ("run_5", "SL"), flags=["--classes", 5]) == ""


def test_similarity_of_many_classes_to_three_models_with_long_names_is_legible(birds):
    names = ("SL, frozen head, vocabulary of 50", "CLIP, frozen text tower of RoBERTa", "SL")
    of_runs = entries(birds, "long", "run label", *((f"run_{i}", name) for i, name in enumerate(names)))
    figure = tail_similarity.draw(of_runs, 24, None)
    check_texts(figure)
    assert min(text.get_fontsize() for text in figure.axes[0].get_yticklabels()) >= 7


def test_equally_rare_classes_are_not_chosen_by_label(draw, birds):
    write_run(birds / "cut", frequency=np.where(np.arange(len(NAMES)) < 9, 0, FREQUENCY))
    write_frequency(birds / "uncut.tsv", NAMES, FREQUENCY)
    row = ("cut", "SL")
    complaint = draw("tail_similarity", "run label", row, flags=["--classes", 5])
    assert "cut has 9 classes that are equally rare (0 images): give --ranking" in complaint
    assert complaint.endswith("or --classes 9\n")
    assert draw("tail_similarity", "run label", row, flags=["--classes", 9]) == ""
    assert draw("tail_similarity", "run label", row, flags=["--classes", 5, "--ranking", birds / "uncut.tsv"]) == ""


def test_feature_maps(draw, monkeypatch):
    row = ("run_0", "CLIP")
    assert draw("feature_maps", "run label", row, flags=["--classes", 9]) == ""
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    complaint = draw("feature_maps", "run label", row)
    assert complaint == "error: the figure feature_maps needs scikit-learn: pip install -e '.[figures]'\n"


def test_a_map_of_the_same_features_is_the_same_and_keeps_clusters_together():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 12)
    features = 6 * rng.normal(size=(3, 10))[labels] + rng.normal(size=(36, 10))
    places = tsne(features)
    distances = np.linalg.norm(places[:, None] - places, axis=-1) + np.diag(np.full(36, np.inf))
    assert np.array_equal(labels[distances.argmin(axis=1)], labels)
    np.testing.assert_array_equal(places, tsne(features))
    assert np.isfinite(tsne(features[:4])).all()
    with pytest.raises(UserError, match="needs at least 4 points, not 3: give more --classes"):
        tsne(features[:3])


def test_class_centres_are_the_means_of_the_classes_with_images():
    features, labels = np.arange(8.0).reshape(4, 2), np.array([3, 1, 3, 1])
    centres, present = class_centres(features, labels)
    assert present.tolist() == [1, 3]
    np.testing.assert_allclose(centres, [[4, 5], [2, 3]])


def test_spread_classes_are_from_the_most_frequent_to_the_rarest():
    assert spread_classes(np.array([5, 9, 1, 7, 3]), 3).tolist() == [1, 0, 2]
    assert spread_classes(np.array([5, 9]), 3).tolist() == [1, 0]


def test_laionet_with_and_without_similarities(draw):
    rows = [(f"0.{i}", f"run_{i}/class_frequency.tsv", f"run_{i}") for i in range(3)]
    assert draw("laionet", "label frequency run", *rows, ("bare", "run_3/class_frequency.tsv")) == ""
    assert draw("laionet", "label frequency", *(row[:2] for row in rows)) == ""


def test_example_classes(draw):
    rows = [("run_0", "CLIP"), ("run_5", "SL")]
    assert draw("example_classes", "run label", *rows) == ""
    assert draw("example_classes", "run label", *rows, flags=["--classes", NAMES[3], NAMES[4].upper()]) == ""


def test_the_same_figure_has_the_same_bytes(draw, tmp_path):
    pictures = []
    for _ in range(2):
        draw("scale", "run group x", *SCALE)
        pictures.append((tmp_path / "pictures" / "scale.png").read_bytes())
    assert pictures[0] == pictures[1]


def entries(birds, name, columns, *rows):
    path = birds / f"{name}.tsv"
    path.write_text("\n".join("\t".join(row) for row in (columns.split(), *rows)))
    return read_sheet(path, columns.split()[:2])


def test_lines_go_through_the_runs_numbers_and_the_mean_of_those_with_the_same_x(birds):
    figure = lines.draw_along(entries(birds, "along", "run group x", *SCALE), ["top1", "corr_acc"], "images", True)
    for axes, measure in zip(figure.axes, ("top1", "corr_acc")):
        of_run = {run: last_evaluation(birds / run, "birds:test")[measure] for run, *_ in SCALE}
        drawn = [line.get_xydata() for line in axes.lines]
        assert any(np.allclose(xy, [[1000, of_run["run_0"]], [2000, of_run["run_1"]]]) for xy in drawn if len(xy) == 2)
        assert any(np.allclose(xy, [[2000, (of_run["run_5"] + of_run["twin"]) / 2]]) for xy in drawn if len(xy) == 1)
        assert any(np.allclose(xy, [[0, of_run["run_4"]], [1, of_run["run_4"]]]) for xy in drawn if len(xy) == 2)


def test_many_groups_have_their_points_and_no_others(birds):
    """Later markers are tuples and formulas, which matplotlib takes for something else where it does not expect them."""
    rows = [(f"run_{number % 6}", f"group {number}", "random") for number in range(23)]
    figures = [
        lines.draw_along(
            entries(birds, "many", "run group x", *[(*row[:2], "1") for row in rows]), ["top1"], "x", False
        ),
        Figure(),
    ]
    captions_vocabulary.draw_plane(
        figures[1].subplots(), entries(birds, "many", "run group head", *rows), "nc1", "top1"
    )
    for figure in figures:
        drawn = [line for line in figure.axes[0].lines if line.get_marker() not in ("None", "", None)]
        points = [xy for line in drawn for xy in line.get_xydata()]
        top1 = sorted(last_evaluation(birds / run, "birds:test")["top1"] for run, *_ in rows)
        np.testing.assert_allclose(sorted(y for _, y in points), top1)
        assert len({str(line.get_marker()) + line.get_color() for line in drawn if len(line.get_xydata())}) == 23


def test_undefined_numbers_have_no_place_on_a_line():
    points = [
        (2.0, Estimate(np.nan)),
        (1.0, Estimate(3.0)),
        (3.0, Estimate(4.0)),
        (3.0, Estimate(5.0)),
    ]
    assert lines.line_of(points) == ([1.0, 3.0], [3.0, 4.5])


@pytest.mark.parametrize("number, shown", [(101848, "102k"), (3256561, "3.26M"), (0.03125, "0.0312"), (500, "500")])
def test_numbers_on_a_logarithmic_axis_are_short(number, shown):
    assert lines.short(number) == shown


def test_bars_of_the_rarest_classes_are_the_runs_accuracies_from_frequent_to_rare(birds):
    of_runs = entries(birds, "rare", "run label", ("run_0", "CLIP"), ("run_5", "SL"))
    figure = tail_similarity.draw(of_runs, 4, None)
    bars = next(axes for axes in figure.axes if axes.get_ylabel() == "accuracy (%)")
    rarest = np.argsort(FREQUENCY, kind="stable")[:4][::-1]
    assert [text.get_text() for text in bars.get_xticklabels()] == [NAMES[c] for c in rarest]
    expected = [read_evaluation(birds / run, "birds:test").accuracy[rarest] for run in ("run_0", "run_5")]
    heights = np.array([bar.get_height() for bar in bars.patches]).reshape(2, 4)
    np.testing.assert_allclose(heights, 100 * np.array(expected))


def test_similarity_of_the_tail_is_cosines_without_the_diagonal():
    values = tail_similarity.cosines(np.array([[1.0, 0.0], [3.0, 3.0], [0.0, -2.0]]))
    half = np.sqrt(0.5)
    np.testing.assert_allclose(values, [[np.nan, half, 0], [half, np.nan, -half], [0, -half, np.nan]], atol=1e-12)


def test_example_classes_stand_from_frequent_to_rare_with_the_first_runs_frequencies(birds):
    of_runs = entries(birds, "examples", "run label", ("run_0", "CLIP"), ("run_5", "SL"))
    wanted = [NAMES[c] for c in (7, 2, 11)]
    bars, accuracy = example_classes.draw(of_runs, wanted).axes
    order = sorted((7, 2, 11), key=lambda c: -FREQUENCY[c])
    assert [text.get_text() for text in bars.get_xticklabels()] == [NAMES[c] for c in order]
    assert [bar.get_height() for bar in bars.patches] == [FREQUENCY[c] for c in order]
    run = read_evaluation(birds / "run_5", "birds:test")
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), 100 * run.accuracy[order])


def test_histogram_has_every_class_that_has_a_similarity(birds):
    of_runs = entries(birds, "alike", "label frequency run", ("0.7", "run_0/class_frequency.tsv", "run_0"))
    curve, histogram = laionet.draw(of_runs).axes
    np.testing.assert_array_equal(curve.lines[0].get_ydata(), np.sort(FREQUENCY)[::-1])
    heights = histogram.patches[0].get_xy()[:, 1]
    assert heights[::2].sum() == len(NAMES) or heights[1::2].sum() == len(NAMES)


@pytest.mark.parametrize(
    "figure, columns, row, complaint",
    [
        ("scale", "run group x", ("nowhere", "SL", "3"), "line 2: there is no run in"),
        ("scale", "run group x set", ("run_0", "SL", "3", "fish:test"), "was not evaluated on fish:test"),
        ("scale", "run gruop x", ("run_0", "SL", "3"), "has no column 'group' (did you mean gruop?)"),
        ("scale", "run group x", ("run_0", "", "3"), "line 2 has no group"),
        ("scale", "run group x", ("run_0", "SL", "3", "4"), "line 2 has 4 cells, but the header 3"),
        ("scale", "run group x x", ("run_0", "SL", "3", "4"), "has two columns 'x': leave one out"),
        *(
            (
                "scale",
                "run group x",
                ("run_0", "SL", x),
                f"line 2: x is {x}; on a logarithmic axis it is a number from 1e-",
            )
            for x in ("nan", "-5", "0", "1e308", "1e400")
        ),
        ("diversity", "run group x", ("run_0", "SL", "-inf"), "line 2: x is -inf; on the axis it is a number from -1e"),
        (
            "corpora",
            "run kind corpus backbone",
            ("run_0", "DINO", "x", "RN50"),
            "kind is 'DINO'; it is one of CLIP, SL",
        ),
        (
            "captions_vocabulary",
            "run group head",
            ("run_0", "SL", "soft"),
            "head is 'soft'; it is one of random, frozen",
        ),
    ],
)
def test_a_sheet_that_does_not_fit_is_an_error(draw, figure, columns, row, complaint):
    assert complaint in draw(figure, columns, row)


@pytest.mark.parametrize(
    "rows",
    [
        [("run_0", "SL", "3"), ("run_1", "SL", "3"), ("run_0", "SL", "3")],
        [("run_0", "SL", "3"), ("run_1", "SL", "3"), ("run_0", "SL", "4")],
        [("run_0", "SL", "3", "birds:test+birds_v2"), ("run_1", "SL", "3"), ("run_0", "SL", "4", "birds_v2")],
    ],
)
def test_the_same_run_twice_is_an_error(draw, rows):
    assert "scale.tsv, line 4 repeats the run of line 2: leave one out" in draw("scale", "run group x set", *rows)


def test_a_sheet_may_have_spaces_dashes_comments_and_several_sets(birds):
    (birds / "by_hand.tsv").write_text(
        "run    group           x  set\n# a comment\n\nrun_0  random tower    -  a+b\nrun_1\tSL\t3\n"
    )
    first, second, third = read_sheet(birds / "by_hand.tsv", ("run", "group"))
    assert first.cells == {"run": "run_0", "group": "random tower", "x": "", "set": "a"}
    assert second.cells == first.cells | {"set": "b"} and second.where.endswith("line 4")
    assert (third.run, third["group"], third["x"], third["set"]) == (birds / "run_1", "SL", "3", "")


def test_frequencies_that_are_not_known_are_an_error(draw, birds):
    write_run(birds / "unknown")
    path = birds / "unknown" / "eval" / "birds_test" / "latest.npz"
    with np.load(path) as arrays:
        kept = {key: value for key, value in arrays.items() if key not in ("head", "mid", "tail")}
    np.savez(path, **kept)
    complaint = draw("example_classes", "run label", ("unknown", "SL"))
    assert "no class frequencies are known on birds:test: evaluate it with --config.eval.class_frequency" in complaint


def test_a_sheet_that_is_not_there_or_empty_or_no_text_is_an_error(draw, tmp_path):
    assert "is empty" in draw("scale", "run group x")
    assert "cannot read the sheet" in draw("scale", "run group x", *SCALE, flags=["--runs", "nowhere.tsv"])
    (tmp_path / "latin.tsv").write_bytes("run\tgroup\nrun_0\tÉ\n".encode("latin-1"))
    flags = ["--runs", tmp_path / "latin.tsv"]
    assert "latin.tsv is not text in UTF-8" in draw("scale", "run group x", *SCALE, flags=flags)


def test_an_address_of_another_kind_is_named(draw):
    assert "'s3://runs.tsv' is neither a folder nor an address" in draw(
        "scale", "run group x", *SCALE, flags=["--runs", "s3://runs.tsv"]
    )


def test_numbers_that_were_not_measured_are_named_with_the_remedy(draw, birds):
    write_run(birds / "plain")
    directory = birds / "plain" / "eval" / "birds_test"
    (summary,) = read_lines(directory / "summary.jsonl")
    kept = {key: value for key, value in summary.items() if "nc" not in key and "similarity" not in key}
    (directory / "summary.jsonl").write_text(line_of(kept))
    (directory / "features.npy").unlink()
    row = ("plain", "SL", "3")
    assert "has no nc1 on birds:test: evaluate it with --config.eval.neural_collapse" in draw(
        "scale", "run group x", row
    )
    assert "did you mean top1" in draw("scale", "run group x", row, flags=["--measures", "top_1"])
    assert "has no corr_acc_interval on" in draw("scale", "run group x", row, flags=["--measures", "corr_acc_interval"])
    assert "--config.eval.save_features" in draw("feature_maps", "run label", row[:2])


def test_classes_that_do_not_fit_are_an_error(draw):
    row = ("run_0", "SL")
    assert "--classes 0: give a number from 1 on" in draw("feature_maps", "run label", row, flags=["--classes", 0])
    assert "--classes 99: give a number between 2 and 24" in draw(
        "tail_similarity", "run label", row, flags=["--classes", 99]
    )
    complaint = draw("example_classes", "run label", row, flags=["--classes", "great gul"])
    assert "has no class 'great gul' (did you mean great gull" in complaint
