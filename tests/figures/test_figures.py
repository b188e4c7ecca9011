"""Every figure, drawn by its command from the sheet of a few made-up runs; and what it refuses."""

import re
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from cliptail_jax import figures
from cliptail_jax.curation.selection import trim_tail
from cliptail_jax.experiments.kinds import KINDS
from cliptail_jax.figures import calibration, corpora, example_classes, feature_maps, tail_similarity, trimmed_tail
from cliptail_jax.figures.captions_vocabulary import PLANES, draw
from cliptail_jax.figures.class_frequency import labels
from cliptail_jax.figures.feature_maps import tsne
from cliptail_jax.figures.parts import lines
from cliptail_jax.figures.parts.classes import class_centres, rarest, spread_classes
from cliptail_jax.figures.parts.planes import draw_trend
from cliptail_jax.figures.parts.sheet import read_sheet
from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import line_of, read_lines
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.report.class_frequency import draw_class_frequency
from cliptail_jax.report.style import style
from cliptail_jax.results.evaluation import read_evaluation
from cliptail_jax.runs.evaluations import last_evaluation, read_arrays
from tests.commands import figures as main
from tests.figures.synthetic_runs import CLASSES, FREQUENCY, NAMES, entries, write_run

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


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """On busy cores, the threads of t-SNE would spend their time waiting for each other."""
    with threadpool_limits(1):
        yield


def test_a_figure_is_its_module(draw, tmp_path, monkeypatch, capsys):
    (tmp_path / "dots.py").write_text(TOY)
    monkeypatch.setattr(figures, "__path__", [*figures.__path__, str(tmp_path)])
    assert draw("dots", "run", ("run_0",), ("run_1",)) == ""
    with pytest.raises(SystemExit):
        main(["--help"])
    listed = capsys.readouterr().out
    assert "A dot for each run." in listed and "The sheet has" not in listed
    names = list(figures.known_figures())
    assert names[0] == "class_frequency" and names[-1] == "dots"
    assert re.findall(r"^    (\w+)", listed, re.MULTILINE) == names


HEADS = [(f"run_{i}", "SL" if i % 2 else "CLIP", ("random", "frozen")[i // 3], f"caption {i}") for i in range(6)]


@pytest.mark.parametrize(
    ("figure", "columns", "rows", "flags"),
    [
        ("scale", "run group x", SCALE, ["--measures", "top5", "image_image_similarity"]),
        ("diversity", "run group x axis", [(*SCALE[0], "images"), ("run_0", "SL", "LAIONet", "sets")], []),
        ("open_world", "run group x", [(f"run_{i}", "CLIP", f"{10**i} classes") for i in range(3)], []),
        ("captions_vocabulary", "run group head label", HEADS, []),
        ("corpora", "run set kind corpus backbone", CORPORA, []),
        ("fine_grained", "run set corpus", [(run, sets, corpus) for run, sets, _, corpus, _ in CORPORA], []),
        ("calibration", "run label", [("run_0", "CLIP"), ("run_5", "SL")], []),
        ("tail_similarity", "run label", [("run_0", "CLIP"), ("run_5", "SL")], ["--classes", 5]),
        ("feature_maps", "run label", [("run_0", "CLIP")], ["--classes", 2]),
        ("laionet", "label frequency run", [("0.1", "run_1/class_frequency.tsv", "run_1")], []),
        ("example_classes", "run label", [("run_0", "CLIP")], ["--classes", NAMES[3], NAMES[4].upper()]),
        ("accuracy_by_frequency", "run label", [("run_0", "CLIP"), ("run_5", "SL"), ("twin", "SL")], ["--images", 0]),
    ],
)
def test_each_figure_is_drawn_from_its_sheet(draw, figure, columns, rows, flags, monkeypatch):
    monkeypatch.setattr(feature_maps, "tsne", lambda x: x[:, :2])  # t-SNE, which is slow, has its own test
    assert draw(figure, columns, *rows, flags=flags) == ""


def test_a_missing_package_is_named(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    complaint = draw("feature_maps", "run label", ("run_0", "CLIP"))
    assert complaint == "error: the figure feature_maps needs scikit-learn: pip install -e '.[figures]'\n"


def test_reliability_is_that_of_the_classes_of_each_group(birds):
    (axes,) = calibration.draw(entries(birds, "run label", ("run_3", "CLIP"))).axes
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


def test_equally_rare_classes_are_not_chosen_by_label(draw, birds):
    write_run(birds / "cut", frequency=np.where(np.arange(len(NAMES)) < 9, 0, FREQUENCY))
    write_frequency(birds / "uncut.tsv", NAMES, FREQUENCY)
    row = ("cut", "SL")
    complaint = draw("tail_similarity", "run label", row, flags=["--classes", 5])
    assert "cut has 9 classes that are equally rare (0 images): give --ranking" in complaint
    assert complaint.endswith("or --classes 9\n")
    assert draw("tail_similarity", "run label", row, flags=["--classes", 5, "--ranking", birds / "uncut.tsv"]) == ""


def test_a_map_of_the_same_features_is_the_same_and_keeps_clusters_together():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 12)
    features = 6 * rng.normal(size=(3, 10))[labels] + rng.normal(size=(36, 10))
    places = tsne(features)
    distances = np.linalg.norm(places[:, None] - places, axis=-1) + np.diag(np.full(36, np.inf))
    assert np.array_equal(labels[distances.argmin(axis=1)], labels)
    np.testing.assert_array_equal(places, tsne(features))
    with pytest.raises(UserError, match="needs at least 4 points, not 3: give more --classes"):
        tsne(features[:3])


def test_class_centres_are_the_means_of_the_classes_with_images():
    features, labels = np.arange(8.0).reshape(4, 2), np.array([3, 1, 3, 1])
    centres, present = class_centres(features, labels)
    assert present.tolist() == [1, 3]
    np.testing.assert_allclose(centres, [[4, 5], [2, 3]])


def test_spread_classes_are_from_the_most_frequent_to_the_rarest():
    assert spread_classes(np.array([5, 9, 1, 7, 3]), 3).tolist() == [1, 0, 2]


def test_lines_go_through_the_runs_numbers_and_the_mean_of_those_with_the_same_x(birds):
    figure = lines.draw_along(entries(birds, "run group x", *SCALE), ["top1", "corr_acc"], "images", True)
    for axes, measure in zip(figure.axes, ("top1", "corr_acc")):
        of_run = {run: last_evaluation(birds / run, "birds:test")[measure] for run, *_ in SCALE}
        drawn = [line.get_xydata() for line in axes.lines]
        assert any(np.allclose(xy, [[1000, of_run["run_0"]], [2000, of_run["run_1"]]]) for xy in drawn if len(xy) == 2)
        assert any(np.allclose(xy, [[2000, (of_run["run_5"] + of_run["twin"]) / 2]]) for xy in drawn if len(xy) == 1)
        assert any(np.allclose(xy, [[0, of_run["run_4"]], [1, of_run["run_4"]]]) for xy in drawn if len(xy) == 2)


def test_undefined_numbers_have_no_place_on_a_line():
    points = [(2.0, Estimate(np.nan)), (1.0, Estimate(3.0)), (3.0, Estimate(4.0)), (3.0, Estimate(5.0))]
    assert lines.line_of(points) == ([1.0, 3.0], [3.0, 4.5])


def test_bars_of_the_rarest_classes_are_the_runs_accuracies_from_frequent_to_rare(birds):
    of_runs = entries(birds, "run label", ("run_0", "CLIP"), ("run_5", "SL"))
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
    of_runs = entries(birds, "run label", ("run_0", "CLIP"), ("run_5", "SL"))
    wanted = [NAMES[c] for c in (7, 2, 11)]
    bars, accuracy = example_classes.draw(of_runs, wanted).axes
    order = sorted((7, 2, 11), key=lambda c: -FREQUENCY[c])
    assert [text.get_text() for text in bars.get_xticklabels()] == [NAMES[c] for c in order]
    assert [bar.get_height() for bar in bars.patches] == [FREQUENCY[c] for c in order]
    run = read_evaluation(birds / "run_5", "birds:test")
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), 100 * run.accuracy[order])


@pytest.mark.parametrize(
    "figure, columns, row, complaint",
    [
        ("scale", "run group x", ("nowhere", "SL", "3"), "line 2: there is no run in"),
        ("scale", "run group x set", ("run_0", "SL", "3", "fish:test"), "was not evaluated on fish:test"),
        ("scale", "run gruop x", ("run_0", "SL", "3"), "has no column 'group' (did you mean gruop?)"),
        ("scale", "run group x", ("run_0", "", "3"), "line 2 has no group"),
        ("scale", "run group x", ("run_0", "SL", "3", "4"), "line 2 has 4 cells, but the header 3"),
        ("scale", "run group x x", ("run_0", "SL", "3", "4"), "has two columns 'x': leave one out"),
        ("scale", "run group x", ("run_0", "SL", "nan"), "line 2: x is nan; on a logarithmic axis it is a number from"),
        ("scale", "run group x", ("run_0", "SL", "0"), "line 2: x is 0; on a logarithmic axis it is a number from 1e-"),
        ("diversity", "run group x", ("run_0", "SL", "-inf"), "line 2: x is -inf; on the axis it is a number from -1e"),
        ("captions_vocabulary", "run group head", ("run_0", "SL", "soft"), "head is 'soft'; it must be one of random"),
        ("trimmed_tail", "run group", ("run_0", "SL"), "none of the runs was trained on a trimmed tail"),
        ("transfer", "run model label", ("run_0", "dino", "DINO"), "has no results by probe"),
        ("accuracy_by_frequency", "run label", ("run_0", "CLIP"), "data set 'birds' is not prepared"),
    ],
)
def test_a_sheet_that_does_not_fit_is_an_error(draw, figure, columns, row, complaint):
    assert complaint in draw(figure, columns, row)


def test_the_same_run_twice_is_an_error(draw):
    rows = [("run_0", "SL", "3", "birds:test+birds_v2"), ("run_1", "SL", "3"), ("run_0", "SL", "4", "birds_v2")]
    assert "scale.tsv, line 4 repeats the run of line 2: leave one out" in draw("scale", "run group x set", *rows)


def test_a_sheet_may_have_spaces_dashes_comments_and_several_sets(birds):
    (birds / "by_hand.tsv").write_text(
        "run    group           x  set\n# a comment\n\nrun_0  random tower    -  a+b\nrun_1\tSL\t3\n"
    )
    first, second, third = read_sheet(birds / "by_hand.tsv", ("run", "group"))
    assert first.cells == {"run": "run_0", "group": "random tower", "x": "", "set": "a"}
    assert second.cells == first.cells | {"set": "b"} and second.location.endswith("line 4")
    assert (third.run, third["group"], third["x"], third["set"]) == (birds / "run_1", "SL", "3", "")


def test_a_sheet_that_is_not_there_or_empty_or_no_text_is_an_error(draw, tmp_path):
    assert "is empty" in draw("scale", "run group x")
    (tmp_path / "latin.tsv").write_bytes("run\tgroup\nrun_0\tÉ\n".encode("latin-1"))
    for name, complaint in (("nowhere.tsv", "cannot read the sheet"), ("latin.tsv", "latin.tsv is not text in UTF-8")):
        assert complaint in draw("scale", "run group x", *SCALE, flags=["--runs", tmp_path / name])


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
    assert "--config.eval.save_features" in draw("feature_maps", "run label", row[:2])


def test_classes_that_do_not_fit_are_an_error(draw):
    row = ("run_0", "SL")
    assert "--classes 0: give a number from 1 on" in draw("feature_maps", "run label", row, flags=["--classes", 0])
    assert "--classes 99: give a number between 2 and 24" in draw(
        "tail_similarity", "run label", row, flags=["--classes", 99]
    )
    complaint = draw("example_classes", "run label", row, flags=["--classes", "great gul"])
    assert "has no class 'great gul' (did you mean great gull" in complaint


@pytest.mark.parametrize("x, y", [([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [1, np.nan, 3])])
def test_too_few_points_have_no_trend(x, y):
    assert not draw_trend(Figure().subplots(), x, y)


def test_trend_lines_are_drawn_through_the_runs_of_a_group_and_head(birds):
    rows = [(f"run_{i}", "SL" if i < 3 else "CLIP", "frozen" if i < 3 else "random") for i in range(6)]
    figure = draw(entries(birds, "run group head", *rows))
    (x, y), axes = PLANES[1], figure.axes[1]
    summaries = [last_evaluation(birds / f"run_{i}", "birds:test") for i in range(3)]
    slope, intercept = np.polyfit([s[x] for s in summaries], [s[y] for s in summaries], 1)
    drawn = [line for line in axes.lines if len(line.get_xdata())]
    (solid,) = [line for line in drawn if line.get_linestyle() == "-"]
    (xs, ys) = solid.get_data()
    assert (min(xs), max(xs)) == (min(s[x] for s in summaries), max(s[x] for s in summaries))
    np.testing.assert_allclose(ys, slope * np.array(xs) + intercept)
    assert [line.get_linestyle() for line in drawn].count("--") == 1
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1]))
    assert handles["trend, frozen"].get_linestyle() == "-" and handles["trend, random"].get_linestyle() == "--"


@pytest.fixture
def tables(tmp_path):
    """Two corpora that agree but for the order of their tables, and their names' form."""
    one, two, order = tmp_path / "freq_one_x.tsv", tmp_path / "freq_two_x.tsv", np.random.default_rng(0).permutation(60)
    counts = (1e6 / np.arange(1, 61) ** 2).astype(int) + 1
    write_frequency(one, [f"big Cat {i}" for i in range(60)], counts)
    write_frequency(two, [f"big_cat_{i}" for i in order], counts[order] // 7)
    return str(one), str(two)


def test_figure_is_drawn_and_its_numbers_printed(tables, tmp_path, capsys):
    output = tmp_path / "pictures" / "frequency.png"
    assert main(["class_frequency", "--frequencies", *tables, "--rank_by", tables[0], "--output", str(output)]) == 0
    header, one, two, written = capsys.readouterr().out.splitlines()
    assert header.split() == ["corpus", "hits", "empty", "max/min", "Gini", "ρ", "1", "ρ", "2"]
    assert one.split()[:2] == ["1", "one"] and one.split()[3] == "0" and one.split()[-2:] == ["1.00", "1.00"]
    assert two.split()[:2] == ["2", "two"]
    assert written == f"wrote {output}"


@pytest.mark.parametrize(
    "content, complaint",
    [("big cat 1\t3\n", "lacks 59 of the classes, such as 'big Cat 0'"), ("no table", "is not a frequency table")],
)
def test_a_frequency_table_that_does_not_fit_is_an_error(content, complaint, tables, tmp_path, capsys):
    other = tmp_path / "other.tsv"
    other.write_text(content)
    arguments = ["--frequencies", tables[0], str(other), "--output", str(tmp_path / "f.png")]
    assert main(["class_frequency", *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_labels_are_what_tells_the_tables_apart(tmp_path):
    paths = [tmp_path / f"class_frequency_{name}_ori.txt" for name in ("laion", "cc12m_cls")]
    assert labels(paths) == ["laion", "cc12m_cls"]
    assert labels(paths[:1]) == ["class_frequency_laion_ori"]
    assert labels([tmp_path / "a.tsv", tmp_path / "a_b.tsv"]) == ["a", "a_b"]


def test_linear_panel_has_each_corpuss_shares_in_falling_order():
    frequency = {"one": np.array([1, 6, 3]), "two": np.array([0, 0, 5]), "none": np.array([0, 0, 0])}
    figure = draw_class_frequency(frequency, ranking=frequency["one"])
    linear = next(axes for axes in figure.axes if axes.get_ylabel() == "share of all hits (%)")
    drawn = [line.get_ydata().tolist() for line in linear.lines]
    assert drawn == [pytest.approx([60, 30, 10]), [100, 0, 0], [0, 0, 0]]


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


@pytest.mark.parametrize("classes", [1, 5])
def test_the_tail_is_the_empty_classes_and_those_that_were_trimmed_ties_included(classes):
    frequency = np.random.default_rng(1).integers(2, 9, CLASSES)
    frequency[[3, 11]] = 0
    changed = np.flatnonzero(trim(frequency, classes, 1) != frequency)
    tail = rarest(frequency, classes)
    assert len(tail) == classes and list(tail[:2]) == [3, 11][:classes]
    assert sorted(c for c in tail if frequency[c]) == changed.tolist()


def test_panels_show_tail_and_others_by_shots_and_the_untrimmed_run_on_the_same_classes(trimmed):
    figure = trimmed_tail.draw(entries(trimmed, "run group", *ROWS), trimmed / "frequency.tsv")
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


def test_clip_and_sl_have_their_colours_in_every_figure(birds, trimmed):
    sl, clip = (to_rgb(style(KINDS[run].look)["color"]) for run in ("sl", "clip"))
    tower = "CLIP, frozen text tower"
    rows = [("clip_3_0", tower), ("clip_8_0", tower), ("sl_3_0", "SL"), ("sl_8_0", "SL")]
    lines = trimmed_tail.draw(entries(trimmed, "run group", *rows), trimmed / "frequency.tsv").axes[0]
    rows = [("run_0", "CLIP by captions", "random"), ("run_5", "SL by vocabulary", "random")]
    dots = draw(entries(birds, "run group head", *rows), plain=True).axes[0]
    for axes in (lines, dots):
        assert [to_rgb(handle.get_color()) for handle in axes.get_legend_handles_labels()[0]] == [clip, sl]
    rows = [("run_0", "CLIP"), ("run_5", "SL")]
    accuracies = tail_similarity.draw(entries(birds, "run label", *rows), 5).axes
    correlations, *_, plane = corpora.draw(entries(birds, "run set kind corpus backbone", *CORPORA), plain=True).axes
    for axes in (next(axes for axes in accuracies if axes.containers), correlations):
        assert {to_rgb(bars[0].get_facecolor()) for bars in axes.containers} == {clip, sl}
    assert not {clip, sl}.intersection(to_rgb(points.get_edgecolor()[0]) for points in plane.collections)


def test_figure_is_drawn(trimmed, draw):
    rows = [(trimmed / run, group) for run, group in ROWS]
    assert draw("trimmed_tail", "run group", *rows, flags=["--untrimmed", trimmed / "frequency.tsv"]) == ""
