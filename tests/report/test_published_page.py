"""Pages on evaluations of published models: their names, class frequencies, and what is said without one."""

import json
import re

import numpy as np

from cliptail_jax.config.zero_shot import MODE
from cliptail_jax.evaluation.results import class_results, write_arrays
from cliptail_jax.files import write_json
from cliptail_jax.metrics.measures import summarize
from cliptail_jax.report.page import write_page
from cliptail_jax.results.directory import short_names
from cliptail_jax.results.run import last_pass
from cliptail_jax.runs.evaluations import add_summary, evaluation_directory
from tests.figures.synthetic_runs import FREQUENCY, NAMES, biased_confusion, make

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
        summaries.append(summary | summarize(class_results(counts, frequency, None, None)))
        write_arrays(directory, counts, {}, None, None, class_names=NAMES)
        add_summary(directory, summaries[-1])
    return summaries


def data_of(page):
    text = page.read_text()
    return text, json.loads(re.search(r'id="data">(.*?)</script>', text).group(1))


def test_each_class_frequency_of_a_model_has_a_row(tmp_path):
    frequencies = {"cc12m": FREQUENCY, "a/counts.tsv": FREQUENCY[::-1], "b/counts.tsv": np.sort(FREQUENCY)}
    summaries = write_published(tmp_path, "RN50/cc12m", frequencies)
    assert len({summary["corr_acc"] for summary in summaries}) == 3
    text, data = data_of(write_page(tmp_path))
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
    _, data = data_of(write_page(tmp_path))
    assert [kind["name"] for kind in data["kinds"]] == ["first/rn", "second/rn", "RN50/cc12m"]


def test_without_a_class_frequency_classes_have_their_names_and_the_page_says_what_is_missing(tmp_path):
    write_published(tmp_path, "RN50/cc12m", {"": None})
    text, data = data_of(write_page(tmp_path))
    assert data["labels"] == list(NAMES) and data["frequencies"] == {}
    assert "The class frequency of RN50/cc12m is not known" in text and "--config.eval.class_frequency" in text
    assert "Choose classes by their names in the table: the table" in text


def test_the_last_pass_ends_where_weights_settings_or_the_frequency_repeat():
    def line(weights, frequency, dtype="float32"):
        return {"weights": weights, "settings": {"class_frequency": frequency, "dtype": dtype}}

    lines = [line("w", "a"), line("w", "b")]
    assert list(last_pass(lines)) == ["a", "b"]
    assert (
        list(last_pass([line("v", "c"), *lines])) == list(last_pass([line("w", "c", "bfloat16"), *lines])) == ["a", "b"]
    )
    again = line("w", "b")
    assert last_pass([*lines, again]) == {"b": again} and last_pass([{"step": 3}, {"step": 6}]) == {"": {"step": 6}}
    assert last_pass([]) == {}


def test_short_names_are_the_ends_that_differ():
    assert short_names(["/a/b/c", "/a/d/c", "e"]) == {"/a/b/c": "b/c", "/a/d/c": "d/c", "e": "e"}
    assert short_names(["a/b", "b"]) == {"a/b": "a/b", "b": "b"}
