"""Measures of predictions from elsewhere, their differences, and the files of results."""

import collections
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax import measure
from cliptail_jax.claims.verdicts import ClaimResult
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.measures import prediction_measures
from cliptail_jax.predictions import files
from cliptail_jax.predictions.classes import ClassTable
from cliptail_jax.predictions.files import remove_earlier
from cliptail_jax.predictions.measured import measured_seeds
from cliptail_jax.predictions.reading import PredictionFile
from cliptail_jax.report.pictures import draw_runs
from cliptail_jax.report.predictions import outcomes
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.group import RunGroup
from cliptail_jax.runs import evaluations
from cliptail_jax.runs.lock import sole_process
from tests.commands import measure as main
from tests.predictions.examples import FREQUENCY, LABELS, LOGITS, NAMES, PREDICTIONS, classifier, names_of, rows

REFERENCE = Path(__file__).parents[3] / "shared/reference/measure_reference.json"


def test_measures_and_differences_are_those_of_the_reference():
    if not REFERENCE.exists():
        pytest.skip(f"there is no {REFERENCE}")
    reference = json.loads(REFERENCE.read_text())
    measured = {
        name: measure(reference["labels"], predictions, reference["frequency"], name)
        for name, predictions in reference["predictions"].items()
    }
    for name, expected in reference["expected"].items():
        assert {key: getattr(measured[name], key) for key in expected} == pytest.approx(expected)
    for pair, expected in reference["odds_acc_differences"].items():
        a, b = pair.split(" - ")
        difference = measured[a] - measured[b]
        assert (difference.odds_acc, *difference.interval("odds_acc")) == pytest.approx(expected)
    assert (measured["sl"] - measured["balanced"]).verdict("odds_acc") == "sl is more biased"


def test_a_classifier_of_scikit_learn_is_measured_and_its_logits_are_adjusted():
    datasets, linear_model = (pytest.importorskip(f"sklearn.{part}") for part in ("datasets", "linear_model"))
    images, labels = datasets.load_digits(return_X_y=True)
    counts = np.geomspace(80, 4, 10).astype(int)
    number_in_class = np.array([np.sum(labels[:number] == label) for number, label in enumerate(labels)])
    is_training = number_in_class < counts[labels]
    training_labels, test_labels = labels[is_training], labels[~is_training]
    model = linear_model.LogisticRegression(C=0.001, max_iter=200).fit(images[is_training], training_labels)
    images = images[~is_training]
    frequency = collections.Counter(training_labels.tolist())
    measured = measure(test_labels, model.decision_function(images), frequency, "linear")
    assert measured.top1 == pytest.approx(100 * model.score(images, test_labels))
    recalls = [np.mean(model.predict(images[test_labels == label]) == label) for label in range(10)]
    assert measured.mean_per_class == pytest.approx(100 * np.mean(recalls))
    assert (measured.head, measured.tail) == pytest.approx((100 * np.mean(recalls[:3]), 100 * np.mean(recalls[7:])))
    confidence = model.predict_proba(images).max(axis=1)
    gaps = [confidence[test_labels == label].mean() - recalls[label] for label in (7, 8, 9)]
    assert measured.overconfidence_tail == pytest.approx(100 * np.mean(gaps), abs=1e-3)
    gain = measured.adjusted.cross_validation - measured
    assert gain.mean_per_class > 3 and gain.verdict("odds_acc") == "linear is more biased"
    assert measured.adjusted.by_tau[0.0]["top1"] == pytest.approx(measured.top1)


def test_torch_logits_are_measured_as_torch_does():
    torch = pytest.importorskip("torch", reason="torch, of the extra parity, is not installed")
    logits, labels = torch.tensor(LOGITS, dtype=torch.float32), torch.tensor(LABELS)
    measured = measure(labels, logits, FREQUENCY)
    assert measured.top1 == pytest.approx(100 * (logits.argmax(1) == labels).float().mean().item())
    probabilities = measure(labels, torch.softmax(logits, 1), FREQUENCY)
    assert probabilities.ece == pytest.approx(measured.ece, abs=1e-3)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_neither_the_order_of_examples_nor_of_classes_nor_their_names_matter(seed):
    rng = np.random.default_rng(seed)
    order, classes = rng.permutation(len(LABELS)), rng.permutation(4)
    numbers = np.argsort(classes)
    by_number = measure(LABELS, PREDICTIONS, FREQUENCY)
    by_name = measure(names_of(LABELS[order]), names_of(PREDICTIONS[order]), dict(zip(NAMES, FREQUENCY)))
    renamed = measure(numbers[LABELS], numbers[PREDICTIONS], np.array(FREQUENCY)[classes])
    # Names in the order of `classes`, with numbers as their indices; and names that are numbers, with a zero, in any order.
    indexed = measure(
        numbers[LABELS], LOGITS[:, classes], dict(zip(NAMES, FREQUENCY)), classes=np.array(NAMES)[classes]
    )
    padded = measure(LABELS, PREDICTIONS.astype(float), {f"0{number}": FREQUENCY[number] for number in classes})
    for key in ("top1", "mean_per_class", "odds_acc", "f50", "slope_pred", "head", "tail", "corr_acc"):
        expected = by_number.estimate(key)[:3]
        for measured in (by_name, indexed, padded):
            assert measured.estimate(key)[:3] == pytest.approx(expected, nan_ok=True)
        assert getattr(renamed, key) == pytest.approx(expected[0], nan_ok=True)


def test_results_are_a_page_figures_numbers_and_runs_that_other_programs_read(folder, capsys):
    Path("other.csv").write_text(rows(names_of(LABELS), names_of(np.roll(PREDICTIONS, 3))), encoding="utf-8")
    logits = (LOGITS + 0.3 * np.log(FREQUENCY)).astype(np.float32)
    np.savez("logits.npz", logits=logits, labels=LABELS)
    assert main(["logits.npz", "seeds=a.csv,other.csv", "--frequency=counts.tsv", "--output=out"]) == 0
    text = capsys.readouterr().out
    assert "logits_adjusted: held out: on each" in text and "adjust by τ = " in text
    figures = {path.name for path in Path("out/figures").iterdir()}
    assert figures == {f"{name}.{kind}" for name in ("measures", "adjustment_logits") for kind in ("png", "pdf", "svg")}
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert "They differ in" not in page and "on each random half of the examples" in page
    document = json.loads(Path("out/measures.json").read_text(encoding="utf-8"))
    adjustment = document["adjustment"]["logits"]
    assert adjustment["chosen_on"] == "mean_per_class" and adjustment["by_tau"]
    contents = read_directory(Path("out").absolute())
    assert not contents.problems and {run.name for run in contents.runs} == {"logits", "logits_adjusted", "seeds"}
    for name in ("logits", "seeds"):
        group = RunGroup(name, [[run] for run in contents.runs if run.name == name])
        numbers = document["files"][name]["measures"]
        for key in ("top1", "odds_acc", "slope_pred", "corr_acc"):
            assert group.value(key) == pytest.approx(numbers[key]["value"]), key
    remove_earlier(Path("out"))  # as the next call does
    assert {path.name for path in Path("out").rglob("config.json")} == set()
    in_memory = measure(LABELS, logits, FREQUENCY)
    numbers = document["files"]["logits"]["measures"]
    assert numbers.keys() == set(prediction_measures()) and numbers["ece"]["value"] == pytest.approx(in_memory.ece)
    assert in_memory.figure().axes and "odds_acc" in in_memory.table()
    pytest.importorskip("pandas")
    assert in_memory.to_pandas().loc["top1", "value"] == in_memory.top1
    in_memory = measure(LABELS, LOGITS, FREQUENCY)
    assert (in_memory - in_memory).to_pandas().loc["odds_acc", "verdict"] == "no difference"


def test_files_on_other_examples_are_not_compared_unless_file_names_show_that_they_are_the_same(folder, capsys):
    table = [("filename", "label", "prediction", "confidence")]
    table += [(f"{n}.png", *names, 0.9) for n, names in enumerate(zip(names_of(LABELS), names_of(PREDICTIONS)))]
    table.append(("more.png", "", "cat", 0.5))
    for name, order in (("in_order", table[1:]), ("reversed", table[:0:-1]), ("fewer", table[1:25])):
        Path(f"{name}.csv").write_text(
            "".join(",".join(map(str, row)) + "\n" for row in [table[0], *order]), encoding="utf-8"
        )
    assert main(["in_order.csv", "reversed.csv", "fewer.csv", "--frequency=counts.tsv"]) == 0
    text = capsys.readouterr().out
    assert "in_order − reversed" in text and "in_order, reversed: 1 example without a label left out" in text
    assert "in_order and fewer have different examples, and are not compared." in text
    assert "in_order: 1 class with examples here, but not in every file: owl." in text


def test_the_command_begins_with_advice_and_ends_with_forecasts(folder, capsys):
    labels, logits, frequency = classifier(1.0)
    np.savez("sl.npz", logits=logits, labels=labels)
    np.savez("plain.npz", predictions=logits.argmax(1), labels=labels)
    Path("ten.tsv").write_text("".join(f"{c}\t{n}\n" for c, n in enumerate(frequency)), encoding="utf-8")
    command = ["sl.npz", "--frequency=ten.tsv", "--trained_with=sl"]
    assert main(command) == 0
    paragraphs = capsys.readouterr().out.split("\n\n")
    assert (
        paragraphs[1].startswith("sl: ")
        and "NumPy:    logits = logits - 0.9 * np.log(np.maximum(n, 1))" in paragraphs[2]
    )
    table = paragraphs[3].splitlines()
    assert [row.split("  ")[0] for row in table[1:]] == ["sl", "sl_adjusted (held out)", "sl_without_prior"]
    assert paragraphs[4].startswith("difference [95 %]")
    assert "sl: trained with counts in place of sl, it would have the measures of sl_without_prior (forecast)." in [
        " ".join(text.split()) for text in paragraphs
    ]
    assert main(["sl.npz", "--frequency=ten.tsv", "--trained_with=batch:16"]) == 0
    assert "sl: trained with sl in place of batch:16, it would have a mean accuracy of" in capsys.readouterr().out
    assert main([*command, "--tau=1", "--all"]) == 0
    text = capsys.readouterr().out
    assert "sl: adjusted by τ = 1 as given: " in text and "sl, logits − τ log n on all examples" in text
    assert main(["plain.npz", *command]) == 2
    assert "plain has no logits, from which to subtract the log-prior of sl" in capsys.readouterr().err
    assert main(["plain.npz", *command[1:-1], "--tau=1"]) == 2
    assert "plain has no logits to adjust by τ = 1: give logits, or no τ" in capsys.readouterr().err


def test_the_page_and_the_picture_show_a_model_in_the_same_colour(folder, monkeypatch):
    figures = []
    monkeypatch.setattr(files, "draw_runs", lambda *values: figures.append(draw_runs(*values)) or figures[0])
    for name in ("zeta", "alpha"):
        shutil.copy("logits.npz", f"{name}.npz")
    shutil.copy("a.csv", "clip.csv")
    assert main(["zeta.npz", "clip.csv", "alpha.npz", "--frequency=counts.tsv", "--output=out"]) == 0
    legends = [axes.get_legend_handles_labels() for axes in figures[0].axes]
    in_picture = {name: handle.get_color() for handles, names in legends for name, handle in zip(names, handles)}
    page = Path("out/report.html").read_text(encoding="utf-8")
    on_page = dict(re.findall(r'"name":"([^"]+)","colours":\["([^"]+)"', page))
    assert on_page == in_picture and len(on_page) >= 3


REFUSED = {  # the arguments, the files that are put into the folder of an earlier call, and the line
    "beside other files": (["a.csv", "--output=other"], ["other/notes.txt"], "other contains notes.txt, and no results of measure"),
    "beside a folder": (["a.csv", "--output=."], [], ". contains a.csv, and no results of measure"),
    "in place of a page": (["a.csv", "--output=out"], ["out/report.html"], "out/report.html exists, and this program did not write it"),
    "in place of a file": (["new=a.csv", "--output=out"], ["out/new/notes.txt"], "out/new/notes.txt is not a file that measure wrote"),
    "in place of a run": (["run=a.csv", "--output=out"], ["out/run/config.json"], "out/run is a run: choose another --output"),
    "over its input": (["new=out/sl/a.csv", "--output=out"], ["out/sl/a.csv"], "out/sl/a.csv is not a file that measure wrote"),
    "over a table that it wrote": (
        ["a.csv", "--output=out", "--frequency=out/sl/class_frequency.tsv"], [], "out/sl/class_frequency.tsv is an input, and would be"
    ),
    "in no folder": (["a.csv", "--output=/proc/x"], [], "/proc/x cannot be written: no file can be made in /proc"),
    "without a name": (["a.csv", "--output="], [], "--output is empty: is a variable of the shell empty?"),
    "with a pipe": (["a.csv", "--frequency=pipe"], [], "--frequency=pipe is a folder or a pipe: give a file"),
}  # fmt: skip


@pytest.fixture
def measured(folder, made_once):
    """The results of a call in the folder `out`, for which files are measured once."""

    def make(made):
        assert main(["sl=a.csv", "--frequency=counts.tsv", f"--output={made}/out"]) == 0

    shutil.copytree(made_once("measured", make) / "out", "out")


@pytest.mark.parametrize(("arguments", "put", "line"), REFUSED.values(), ids=REFUSED)
def test_results_replace_only_earlier_ones(measured, capsys, arguments, put, line):
    os.mkfifo("pipe")
    for path in map(Path, put):
        path.parent.mkdir(exist_ok=True)
        text = '{"config": {"objective": "supervised"}}' if path.suffix == ".json" else Path("a.csv").read_text("utf-8")
        path.write_text(text, encoding="utf-8")
    contents = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(["--frequency=counts.tsv", *arguments]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: {line}")
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == contents


def test_of_earlier_results_only_their_files_are_removed(folder):
    assert main(["seeds=a.csv,a.csv", "--frequency=counts.tsv", "--output=out"]) == 0
    Path("out/notes.txt").write_text("mine", encoding="utf-8")
    assert main(["new=a.csv", "--frequency=counts.tsv", "--output=out"]) == 0
    assert {path.name for path in Path("out").iterdir()} == {
        "new", "notes.txt", "lock", "measures.json", "report.html", "figures"
    }  # fmt: skip


def test_one_program_at_a_time_writes_to_a_folder(folder, capsys):
    with sole_process(Path("out"), "--output"):
        assert main(["a.csv", "--frequency=counts.tsv", "--output=out"]) == 2
    assert "out is in use by process" in capsys.readouterr().err and {p.name for p in Path("out").iterdir()} == {"lock"}


def test_the_folder_of_a_call_that_fails_is_not_made(folder, capsys):
    Path("few.csv").write_text("label,prediction\ncat,lion\n", encoding="utf-8")
    assert main(["few.csv", "--frequency=counts.tsv", "--output=new/out"]) == 2
    assert "few.csv" in capsys.readouterr().err and not Path("new").exists()


def test_the_confusion_of_many_classes_is_written_as_its_entries(folder, monkeypatch):
    counts = []
    for limit in (4, 3):
        monkeypatch.setattr(evaluations, "MAX_DENSE_CLASSES", limit)
        assert main(["a.csv", "--frequency=counts.tsv", "--output=out"]) == 0
        with np.load("out/a/eval/test/latest.npz") as arrays:
            assert ("confusion" in arrays) == (limit == 4) and ("confusion_entries" in arrays) == (limit == 3)
        (run,) = read_directory(Path("out")).runs
        counts.append(run.evaluation.confusion.toarray())
    expected = np.zeros((4, 4), int)
    np.add.at(expected, (LABELS, PREDICTIONS), 1)
    np.testing.assert_array_equal(counts[0], expected)
    np.testing.assert_array_equal(counts[1], expected)


def test_measures_of_other_examples_are_not_subtracted():
    a, b = (measure(labels, PREDICTIONS[: len(labels)], FREQUENCY) for labels in (LABELS, LABELS[:24]))
    with pytest.raises(UserError, match="different examples"):
        a - b
    with pytest.raises(TypeError, match="only the measures of other predictions can be subtracted, and not int"):
        a - 5
    message = r"there is no measure 'oddsacc' \(did you mean odds_acc\?\): there are top1, .*"
    for error, ask in (
        (AttributeError, lambda: a.oddsacc),
        (AttributeError, lambda: (a - a).oddsacc),
        (UserError, lambda: a.interval("oddsacc")),
        (UserError, lambda: (a - a).interval("oddsacc")),
        (UserError, lambda: (a - a).verdict("oddsacc")),
    ):
        with pytest.raises(error, match=f"^{message}$"):
            ask()


def test_files_may_follow_flags(folder, capsys):
    assert main(["a.csv", "--frequency=counts.tsv", "b=a.csv"]) == 0
    assert "a − b" in capsys.readouterr().out


def test_models_with_other_numbers_of_seeds_are_not_compared(folder, capsys):
    assert main(["two=a.csv,a.csv", "one=a.csv", "--frequency=counts.tsv"]) == 0
    text = capsys.readouterr().out
    assert "two has 2 seeds and one has 1: they are not compared" in text and "two − one" not in text


@pytest.mark.parametrize("files", [["sl=logits.npz", "--tau=1"], ["sl=a.csv,a.csv"]])
def test_the_directory_of_a_trained_run_is_not_written_to(folder, capsys, files):
    assert main([*files, "--frequency=counts.tsv", "--output=out"]) == 0
    workdir = Path("out/seed_1/sl" if "," in files[0] else "out/sl_adjusted")
    document = '{"config": {"objective": "supervised"}}'
    (workdir / "config.json").write_text(document, encoding="utf-8")
    assert main([*files, "--frequency=counts.tsv", "--output=out"]) == 2
    assert f"{workdir} is a run: choose another --output" in capsys.readouterr().err
    assert (workdir / "config.json").read_text(encoding="utf-8") == document


@pytest.mark.parametrize(
    ("labels", "predictions", "frequency", "undefined_keys"),
    [
        ([0, 0, 1, 1], [0, 1, 1, 1], (100, 5), ("odds_acc", "head", "tail", "corr_acc")),
        (LABELS, 0 * LABELS, FREQUENCY, ("corr_acc", "corr_pred", "head", "tail")),  # of one class only
    ],
)
def test_intervals_that_few_resamples_have_are_undefined(labels, predictions, frequency, undefined_keys):
    measured = measure(labels, predictions, frequency)
    for key in undefined_keys:
        assert np.isnan(measured.interval(key)).all(), key
    low, high = measured.interval("top1")
    assert low < measured.top1 < high
    table = (measured - measured).table()  # with a row for an undefined difference, and without any at chance
    assert re.search(r"\nf50 +– +– +undefined\n", table) or "is at chance" in table


def spread_seeds(folder, shares, classes=100, examples=10):
    """Files of predictions whose shares of right examples are these, and a table of class frequencies."""
    rng, labels = np.random.default_rng(0), np.repeat(np.arange(classes), examples)
    frequency = np.geomspace(500, 5, classes).astype(int)
    (folder / "n.tsv").write_text("\n".join(f"{c}\t{n}" for c, n in enumerate(frequency)) + "\n", encoding="utf-8")
    for number, share in enumerate(shares):
        predicted = np.where(rng.random(len(labels)) < share, labels, rng.integers(classes, size=len(labels)))
        rows = "\n".join(f"{label},{prediction}" for label, prediction in zip(labels, predicted))
        (folder / f"s{number}.csv").write_text(f"label,prediction\n{rows}\n", encoding="utf-8")


def test_seeds_that_differ_much_are_not_at_chance_and_intervals_are_accuracies(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    spread_seeds(tmp_path, (0.75, 0.63, 0.36, 0.33))
    assert main(["a=s0.csv,s1.csv", "b=s2.csv,s3.csv", "--frequency=n.tsv", "--all"]) == 0
    text = capsys.readouterr().out
    assert "at chance" not in text and "not compared" not in text and "a − b" in text
    (line,) = (line for line in text.splitlines() if line.startswith("mean per class %") and line.count("[") == 2)
    bounds = [float(number) for pair in re.findall(r"\[([^]]*)\]", line) for number in pair.split(", ")]
    assert len(bounds) == 4 and min(bounds) >= 0 and max(bounds) <= 100


@pytest.mark.parametrize(
    ("biases", "first", "other"),
    [
        ((2.0, 0.5), "more biased", "less biased"),
        ((-0.5, -2.0), "less biased", "more biased"),  # both favour rare classes, the second one more
        ((1.0, -1.2), "biased towards frequent classes", "biased towards rare classes"),
    ],
)
def test_bias_is_a_distance_from_0(biases, first, other):
    claim = ClaimResult("", "odds_acc", "a", "b", by_seed=[biases])
    assert outcomes(claim) == (first, other)
    assert outcomes(dataclasses.replace(claim, by_seed=[biases[::-1]])) == (first, other)


def test_gains_are_for_the_choice_of_examples_in_any_order_of_the_files():
    """The difference of two models is paired by example, so that its interval is narrow where classes differ much."""
    rng = np.random.default_rng(3)
    labels = np.repeat(np.arange(6), 80)
    frequency = [500, 200, 100, 40, 20, 10]
    luck, shares = rng.random(len(labels)), np.array([0.95, 0.9, 0.7, 0.6, 0.3, 0.2])
    wrong = (labels + 1) % 6
    plain = np.where(luck < shares[labels], labels, wrong)
    better = np.where(luck < (shares + [0, 0, 0, 0.05, 0.1, 0.15])[labels], labels, wrong)
    gain = measure(labels, better, frequency) - measure(labels, plain, frequency)
    difference = (better == labels).astype(float) - (plain == labels)
    variance = np.mean([difference[labels == c].var(ddof=1) / 80 for c in range(6)]) / 6
    low, high = gain.interval("mean_per_class")
    assert (high - low) / 2 == pytest.approx(100 * 1.96 * np.sqrt(variance), rel=1e-2)
    assert (
        gain.verdict("mean_per_class") == "a is more accurate"
        and gain.verdict("tail") == "a is more accurate in the tail"
    )
    order = rng.permutation(len(labels))
    names = [f"{number:03}.jpg" for number in range(len(labels))]
    table = ClassTable(tuple(map(str, range(6))), np.array(frequency), "counts")
    files = [
        PredictionFile("a.csv", labels, better, keys=names),
        PredictionFile("b.csv", labels[order], plain[order], keys=[names[row] for row in order]),
    ]
    first, second = (measured_seeds(name, [content], table) for name, content in zip("ab", files))
    assert (first - second).interval("mean_per_class") == pytest.approx((low, high))
    seeds = measured_seeds("a", [files[0], files[1]], table)  # the second one in the order of the first
    assert (seeds.group.evaluations[1].predicted == plain).all()


def test_neither_jax_is_imported_to_measure_nor_numpy_to_import_the_package(folder):
    code = (
        "import sys, cliptail_jax; assert 'numpy' not in sys.modules; from cliptail_jax.programs import main; "
        "assert main(['measure', 'a.csv', '--frequency=counts.tsv', '--output=out']) == 0; assert 'jax' not in sys.modules"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
