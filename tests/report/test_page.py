"""What the page is written from, what it says of damage and of what is missing, and how large it is."""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from cliptail_jax.claims.judge import judge
from cliptail_jax.claims.judged import JudgedContents
from cliptail_jax.claims.verdicts import claim_numbers
from cliptail_jax.config.zero_shot import MODE
from cliptail_jax.evaluation.results import class_results
from cliptail_jax.host.files import write_json
from cliptail_jax.metrics.measures import summarize
from cliptail_jax.report.comparison import compare, distinct, wrong_predictions
from cliptail_jax.report.images import PageImages
from cliptail_jax.report.odds import odds_curve
from cliptail_jax.report.origin import configs_of
from cliptail_jax.report.page import ALL_RUNS, json_table, render
from cliptail_jax.report.pairs import differences
from cliptail_jax.results.archive import write_archive
from cliptail_jax.results.directory import matches, read_directory, short_names
from cliptail_jax.results.run import last_pass
from cliptail_jax.runs.evaluations import ClassArrays, add_summary, evaluation_directory, write_class_arrays
from tests.commands import report as main
from tests.figures.synthetic_runs import FREQUENCY, NAMES, biased_confusion, make, write_run
from tests.judged_pages import page_of
from tests.report.synthetic_pages import IMAGE, SCRIPT, in_memory, write_study
from tests.saved_state import unfinish


@pytest.fixture
def study(study_directory, tmp_path):
    """A copy of the study, to be changed."""
    return shutil.copytree(study_directory, tmp_path / "study")


def test_the_numbers_of_a_kind_are_those_of_the_report(study_directory):
    comparison = compare([read_directory(study_directory)])
    report = json.loads((study_directory / "report.json").read_text())
    assert [kind.name for kind in comparison.kinds] == ["sl", "sl_sampled", "clip"]
    for kind in comparison.kinds:
        estimate = report["bias"][kind.name]["slope_acc"]
        assert kind.value("slope_acc") == estimate["value"]
        assert kind.interval("slope_acc") == (estimate["low"], estimate["high"])
        tops = [of_seed[kind.name]["top1"] for of_seed in report["runs"].values()]
        assert kind.value("top1") == pytest.approx(np.mean(tops)) and len(kind.runs) == 2
        assert 100 * kind.accuracy.mean() == pytest.approx(np.mean(tops))
        assert kind.left_out("slope_acc") == estimate["left_out"]


def test_a_page_is_computed_from_the_runs_and_not_from_the_report(study, study_directory):
    (study / "report.json").write_text('{"bias": "changed"}')
    first, second = (data_of(page)[1] for page in (page_of(study, images=0), study_directory / "report.html"))
    assert first["tables"] == second["tables"] and first["tables"].keys() >= {"runs", "claims"}
    assert first["pair"] == ["sl", "sl_sampled"]  # the runs of the first claim


def test_a_page_on_one_pair_warns_that_trainings_differ(study_directory):
    assert '<p class="note">The intervals come from one seed or pair' in (study_directory / "report.html").read_text()


def test_two_studies_are_told_apart_by_their_directories(study_directory, study):
    other = study.rename(study.with_name("other"))
    page = page_of(study_directory, [other], other / "both.html")
    text = page.read_text()
    assert "<h1>Made up &lt;em&gt;study&lt;/em&gt; and Made up" in text
    assert 'data-kind="study/clip"' in text and 'data-kind="other/clip"' in text
    assert text.count("difference in points per decade") == 1  # one table
    assert re.findall('class="study">(.*?)<', text) == ["study", "study", "other", "other", "study", "other"]


def test_wrong_predictions_are_listed_with_the_most_frequent_first():
    confusion = csr_array(np.array([[5, 2, 3], [0, 9, 1], [0, 0, 4]]))
    assert wrong_predictions(confusion) == [[(2, 3), (1, 2)], [(2, 1)], []]


def test_names_with_html_are_escaped(study_directory):
    text = (study_directory / "report.html").read_text()
    assert SCRIPT not in text and IMAGE not in text and "Made up <em>" not in text
    assert "Made up &lt;em&gt;study" in text


def test_a_field_differs_between_kinds_or_between_their_runs_or_is_the_same(study_directory):
    configs = configs_of(compare([read_directory(study_directory)]).kinds)
    assert configs.variations == {"data.profile.mirrored": "false, true"}
    assert configs.factors == {"data.seed": ["0", "1", "2"]} and configs.constants["objective"] == "supervised"


def test_a_failed_run_is_named_with_its_reason(tmp_path):
    write_study(tmp_path, broken="clip")
    text = (tmp_path / "report.html").read_text()
    assert "seed_3/clip failed:" in text and "the loss of &lt;img" in text and "Still missing" not in text
    assert "Not tested: " in text and "there is no trained run of clip</li>" in text


def test_a_running_study_says_what_is_missing(study):
    shutil.rmtree(study / "seed_3_mirrored/clip")
    running = unfinish(study / "seed_3_mirrored/sl")
    lines = (running / "metrics.jsonl").read_text()
    (running / "metrics.jsonl").write_text(lines[:-5])  # its last line is being written
    text = page_of(study, images=0).read_text()
    assert "Still missing (2):</strong> seed_3_mirrored/sl, seed_3_mirrored/clip." in text
    assert text.count("Not shown:") == 1
    plots = json.loads(re.search(r'id="document">(.*?)</script>', text).group(1))
    assert "sl seed_3_mirrored" in json.dumps(plots)  # its curve so far


def test_claims_that_changed_after_the_first_run_are_marked_by_what_changed(study):
    assert not re.search("[†‡]", (study / "report.html").read_text())
    changes = {"sampled": ("†", "margin=2.0 not 3.0"), "clip": ("‡", "clip: seed=3 not 4")}
    document = json.loads((study / "study.json").read_text())
    (study / "study.json").write_text(json.dumps(document | {"changes": changes}))
    text = page_of(study).read_text()
    for mark, change in changes.values():
        assert text.count(f'more than the other <span title="{change}">{mark}</span>') == 1
    assert "† marks claims that were added or changed after the first run: margin=2.0 not 3.0." in text
    assert "‡ marks claims on runs whose recipes were changed after the first run: clip: seed=3 not 4." in text


@pytest.mark.parametrize(
    ("damaged", "lost"),
    [
        ("seed_3/clip/eval/glyphs_test/latest.npz", "evaluation"),
        ("seed_3/clip/metrics.jsonl", "log"),
        ("seed_3/clip/config.json", "everything"),
        ("study.json", "study"),
    ],
)
def test_a_damaged_file_is_named_and_the_rest_is_shown(damaged, lost, study, capsys):
    path = study / damaged
    path.write_bytes(path.read_bytes()[:-40] + b'"?' * 20 + b"\n")
    contents = read_directory(study)
    assert len(contents.problems) == 1 and str(path) in contents.problems[0] and "\n" not in contents.problems[0]
    assert len(contents.runs) == 6 - (lost == "everything")
    if lost in ("evaluation", "log"):
        [run] = [run for run in contents.runs if (run.seed, run.name) == ("seed_3", "clip")]
        assert not getattr(run, lost)
    if lost == "everything":
        assert main([f"--workdir={study}"]) == 0
        text = (study / "report.html").read_text()
        assert f"Not shown:</strong> {path}" in text and "sl_sampled" in text
        assert capsys.readouterr().err.startswith(f"not shown: {path}")


def test_different_classes_are_compared_on_those_that_are_shared():
    first, second = in_memory(1, 8, steps=3), in_memory(1, 8, steps=3)
    names = ("elsewhere", *second.runs[0].evaluation.class_names[:0:-1])  # without class 0, and reversed
    evaluation = second.runs[0].evaluation
    object.__setattr__(evaluation, "class_names", names)
    comparison = compare([first, second])
    assert comparison.classes == 7 and "the 7 that all share" in comparison.notes[0]
    a, b = comparison.kinds
    assert comparison.labels[:7] == list(first.runs[0].evaluation.class_names[1:])
    np.testing.assert_array_equal(a.accuracy, first.runs[0].evaluation.accuracy[1:])
    np.testing.assert_array_equal(b.accuracy, evaluation.accuracy[:0:-1])
    np.testing.assert_array_equal(b.confusion.diagonal(), evaluation.confusion.diagonal()[:0:-1])
    assert b.confusion.sum() == evaluation.confusion[1:].sum()  # predictions of other classes count, too
    assert b.confusion[:, comparison.labels.index("elsewhere")].sum() == evaluation.confusion[1:, 0].sum()


def test_classes_that_are_the_first_of_another_runs_are_the_shared_ones():
    comparison = compare([in_memory(1, 8, steps=3), in_memory(1, 5, steps=3)])
    assert [kind.confusion.shape for kind in comparison.kinds] == [(5, 8), (5, 8)]


def test_half_of_a_mirrored_pair_counts_for_no_difference(study):
    (study / "study.json").unlink()  # a folder of runs
    first = min(study.glob("seed_*"))
    found = differences(compare([read_directory(study)]).kinds)
    for name in ("sl", "clip"):
        shutil.copytree(first / name, study / "seed_99" / name)
    assert found and found == differences(compare([read_directory(study)]).kinds)


def test_a_run_with_all_measures_and_a_set_of_runs(tmp_path):
    for name, slope in (("one", 0.1), ("two", 0.4)):
        write_run(tmp_path / name, slope, sets=("birds:test", "birds:validation"))
    page = page_of(tmp_path / "one", [tmp_path / "two"], tmp_path / "deep" / "page.html")
    text = page.read_text()
    assert "<h1>one and two</h1>" in text and "two on birds:validation" in text
    assert "nc2_head_mean" in text and "image_text_similarity" in text
    assert read_directory(tmp_path).names == ["one", "two"]  # a folder of runs


def test_all_classes_are_in_the_page_which_stays_small():
    contents = in_memory(2, 1000, steps=500)
    for run in contents.runs:
        del run.document["finished"]  # the bootstrap of differences would take long
    text = render(
        compare([contents]), [JudgedContents(contents, {}, None)], "", [], {}, PageImages(None, ()), ALL_RUNS, {}
    )
    data = json.loads(re.search(r'id="data">(.*?)</script>', text).group(1))
    assert len(data["labels"]) == 1000 and all(len(kind["accuracy"]) == 1000 for kind in data["kinds"])
    assert data["pair"] == ["kind 1", "kind 0"]  # without claims, the last and the first
    assert len(text.encode()) < 2e6  # and with images of MAX_PAGE_BYTES at most, see test_page_images.py


def test_wrong_arguments_of_report_are_one_line_each(study_directory, tmp_path, capsys):
    for arguments, message in [
        ([f"--workdir={__file__}"], "test_page.py is not a directory: give the directory of a run"),
        ([f"--workdir={tmp_path / 'nowhere'}"], "nowhere is not a directory: give the directory of a run"),
        ([f"--workdir={study_directory}", f"--compare={tmp_path}"], f"{tmp_path} contains no run"),
        (
            [f"--workdir={study_directory}", f"--compare={study_directory}/."],
            "is given twice: compare different directories",
        ),
        ([f"--workdir={study_directory}", f"--output={tmp_path}"], "cannot be written: it is a folder"),
        ([f"--workdir={study_directory}", "--runs=dino*"], "no run matches --runs=dino*: there are sl,"),
    ]:
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.startswith("error: ") and error.count("\n") == 1


@pytest.fixture
def results(results, tmp_path, monkeypatch):
    """The folder of published results, which is empty, and an empty folder that is the current one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return results


@pytest.fixture
def made(study_directory, results):
    """A study that is published as 'made': its counts, and the tests of its claims."""
    write_archive(study_directory, results / "made.tar.xz")
    claims = judge(read_directory(study_directory))
    write_json(results / "made.json", {"claims": [{"key": key} | claim_numbers(of) for key, of in claims.items()]})


def test_a_page_on_a_published_study_is_that_of_its_directory(study_directory, made, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr("cliptail_jax.jobs.report.judge", lambda *_: pytest.fail("claims are tested again"))
        assert main(["made", "--images=0"]) == 0
    assert capsys.readouterr().out == f"wrote {(tmp_path / 'here/made.html').as_uri()}\n"
    main([f"--workdir={study_directory}", "--images=0", "--output=whole.html"])
    (text, data), (_, expected) = (data_of(Path(name)) for name in ("made.html", "whole.html"))
    assert data["tables"] == expected["tables"] and data["tables"].keys() >= {"runs", "claims"}
    assert "the study made" in text and "--workdir=runs/made" in text and str(tmp_path) not in text
    assert sorted(path.name for path in Path().iterdir()) == ["made.html", "whole.html"]


def test_a_page_on_published_results_that_cannot_be_written_is_one_line(study_directory, made, results, capsys):
    write_json(results / "old.json", {})
    Path("made.html").write_text("mine", encoding="utf-8")
    for arguments, message in [
        ([], "the page is on a directory or a published study: give --workdir=DIR or a NAME"),
        (["made", f"--workdir={study_directory}"], "the page is on a directory or a published study: give"),
        (["maed"], "there are no published results 'maed' (did you mean made?): there are made"),
        ([str(results)], f"{results} is a directory: give it as --workdir={results}"),
        (["old"], "old has no stored counts, since an earlier version published its results: train it again"),
        (["made"], "made.html exists, and this program did not write it"),
    ]:
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert Path("made.html").read_text(encoding="utf-8") == "mine"


def test_a_page_on_some_of_the_runs_has_these_and_the_claims_on_them(study_directory, tmp_path):
    output = tmp_path / "sl.html"
    main([f"--workdir={study_directory}", "--runs=sl", "--runs=*_sampled", f"--output={output}"])
    text = output.read_text()
    assert 'data-kind="sl"' in text and 'data-kind="sl_sampled"' in text and 'data-kind="clip"' not in text
    assert "2 kinds of runs" in text and "The only claim is supported" in text and "the last report" not in text


def test_numbers_that_json_lacks_are_signs_or_missing():
    assert json_table(["a"], [[-math.inf, math.inf, math.nan, 1.5, 2, "x"]]) == (["a"], [["<", ">", None, 1.5, 2, "x"]])


def test_a_transfer_is_a_table_of_models_and_sets(tmp_path):
    def line(model, method, score, **settings):
        origin = {"software": {"jax": "0.10.2"}, "hardware": {}, "command": "cliptail transfer"}
        key = {"model": model, "set": "dtd", "method": method}
        return key | {"score": score, "settings": settings, "origin": origin}

    lines = [
        line("runs/clip", "probe", 61.25, weights="step 1"),
        line("runs/clip", "probe", 62.25, weights="step 2", seed=0),  # the last counts
        line("runs/sl", "few_shot", 51.0, weights="step 3", seed=0),
        {"model": "runs/sl", "set": "dtd", "method": "probe", "score": 41.0},  # of an earlier version
    ]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    page_of(tmp_path, title="Transfer", failures={"pets": "no such data"})
    text = (tmp_path / "report.html").read_text()
    assert "dtd: linear probe %" in text and "62.2" in text and "61.2" not in text and "51.0" in text
    assert "pets failed:" in text
    assert 'step 2 <span class="of">(runs/clip)</span>' in text and "step 1" not in text and "jax 0.10.2" in text
    assert text.count("cliptail transfer</code>") == 1 and f"the transfer {tmp_path.name}" in text


SET = "birds:test"


def write_published(workdir, model, frequencies):
    """A model's evaluation, with the class frequencies by their names; {'': None} for none. Returns the summaries."""
    config = {"objective": MODE, "eval.sets": [SET], "eval.models": [model]}
    write_json(make(workdir) / "config.json", {"config": config})
    directory, summaries = make(evaluation_directory(workdir, SET)), []
    confusion = biased_confusion(FREQUENCY, 0.3, np.random.default_rng(0))
    for name, frequency in frequencies.items():
        counts = {"confusion": confusion, "top5": np.array(np.trace(confusion))}
        summary = {"step": 0, "epoch": 0.0, "model": model, "weights": "abc", "settings": {"class_frequency": name}}
        summaries.append(summary | summarize(class_results(counts, frequency, None, {})))
        write_class_arrays(directory, ClassArrays(confusion, {}, class_names=NAMES))
        add_summary(directory, summaries[-1])
    return summaries


def data_of(page):
    text = page.read_text()
    return text, json.loads(re.search(r'id="data">(.*?)</script>', text).group(1))


def test_each_class_frequency_of_a_model_has_a_row(tmp_path):
    frequencies = {"cc12m": FREQUENCY, "a/counts.tsv": FREQUENCY[::-1], "b/counts.tsv": np.sort(FREQUENCY)}
    summaries = write_published(tmp_path, "RN50/cc12m", frequencies)
    assert len({summary["corr_acc"] for summary in summaries}) == 3
    text, data = data_of(page_of(tmp_path))
    header, rows = data["tables"]["sets"]
    place = header.index("corr_acc")
    assert {row[0]: row[place] for row in rows} == {
        f"RN50/cc12m on {SET}, by {name}": summary["corr_acc"] for name, summary in zip(frequencies, summaries)
    }
    header, ((_, *numbers),) = data["tables"]["runs"]
    assert numbers[header.index("class frequency") - 1] == "b/counts.tsv"
    assert "Accuracy during training" not in text


def test_models_in_folders_are_named_by_what_tells_them_apart(tmp_path):
    for folder, model in (("a", "/exports/first/rn"), ("b", "/exports/second/rn"), ("c", "RN50/cc12m")):
        write_published(tmp_path / folder, model, {"cc12m": FREQUENCY})
    _, data = data_of(page_of(tmp_path))
    assert [kind["name"] for kind in data["kinds"]] == ["first/rn", "second/rn", "RN50/cc12m"]


def test_without_a_class_frequency_classes_have_their_names_and_the_page_says_what_is_missing(tmp_path):
    write_published(tmp_path, "RN50/cc12m", {"": None})
    text, data = data_of(page_of(tmp_path))
    assert data["labels"] == list(NAMES) and data["frequencies"] == {}
    assert "The class frequency of RN50/cc12m is not known" in text and "--config.eval.class_frequency" in text
    assert "Choose classes by their names in the table: the table" in text


def test_the_last_pass_ends_where_weights_settings_or_the_frequency_repeat():
    def line(weights, frequency, dtype="float32"):
        return {"weights": weights, "settings": {"class_frequency": frequency, "dtype": dtype}}

    lines = [line("w", "a"), line("w", "b")]
    assert list(last_pass(lines)) == ["a", "b"]
    for other in (line("v", "c"), line("w", "c", "bfloat16")):
        assert list(last_pass([other, *lines])) == ["a", "b"]
    again = line("w", "b")
    assert last_pass([*lines, again]) == {"b": again} and last_pass([{"step": 3}, {"step": 6}]) == {"": {"step": 6}}
    assert last_pass([]) == {}


def test_a_run_is_chosen_by_its_name_or_a_pattern():
    assert matches("run[1]", ["run[1]"]) and matches("run1", ["run[1]"]) and not matches("run2", ["run[1]"])


def test_repeated_names_get_numbers_that_no_other_has():
    assert distinct(["x", "x", "x (2)", "y", "x"]) == ["x", "x (2)", "x (2) (2)", "y", "x (3)"]


def test_a_line_over_unseen_classes_is_drawn():
    assert np.isfinite(odds_curve(np.zeros(3, int), (-1.0, 2.0))).all()


def test_short_names_are_the_ends_that_differ():
    assert short_names(["/a/b/c", "/a/d/c", "e"]) == {"/a/b/c": "b/c", "/a/d/c": "d/c", "e": "e"}
    assert short_names(["a/b", "b"]) == {"a/b": "a/b", "b": "b"}
