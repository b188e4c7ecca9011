"""The images of the page: which they are, their captions and predictions, and what is said where they are missing."""

import base64
import dataclasses
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from cliptail_jax.config.zero_shot import MODE
from cliptail_jax.curation.joined import open_splits
from cliptail_jax.curation.variant import make_variant
from cliptail_jax.datasets.source import open_source
from cliptail_jax.evaluation.sets import open_set
from cliptail_jax.figures import accuracy_by_frequency
from cliptail_jax.formats.decoding import decode_image
from cliptail_jax.host.files import write_json
from cliptail_jax.report import evaluated_images, images, training_images
from cliptail_jax.report.comparison import compare
from cliptail_jax.report.evaluated_images import are_evaluated, most_informative_images
from cliptail_jax.report.images import page_images
from cliptail_jax.report.style import styles
from cliptail_jax.results.directory import read_directory
from tests.commands import report as main
from tests.evaluation.plain_evaluation import count_confusion
from tests.figures.synthetic_runs import entries, make, write_evaluations
from tests.judged_pages import page_of
from tests.report.pictured_study import CLASSES, configs, predictions, write_pictured_run
from tests.report.synthetic_pages import IMAGE, SCRIPT
from tests.synthetic import sections


@pytest.fixture
def study(pictured_study, tmp_path):
    """A copy of the study, to be changed."""
    return shutil.copytree(pictured_study, tmp_path / "study")


@pytest.fixture
def nothing_is_cached():
    for cached in (
        training_images.choose_images,
        training_images.find_captions,
        evaluated_images.open_run_images,
        evaluated_images.open_published_images,
    ):
        cached.cache_clear()


def images_of(workdir, each=4):
    return page_images(compare([read_directory(workdir)]), each)


def pixels(encoded):
    return np.array(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")).astype(int)


def record_of(encoded, originals):
    """The record whose image a thumbnail is most similar to: it is compressed with some loss."""
    thumbnail = pixels(encoded)
    return min(originals, key=lambda record: np.abs(thumbnail - originals[record]).mean())


def originals(glyphs_dir, split):
    """The images of the compared classes, by record."""
    source = open_source("glyphs", str(glyphs_dir), split)
    records = np.flatnonzero(source.metadata["label"].to_numpy() < CLASSES).tolist()
    return {r: decode_image(encoded).astype(int) for r, encoded in zip(records, source.encoded_images(records))}


def test_training_images_are_those_of_the_run_with_their_captions(pictured_study, glyphs_dir):
    training = images_of(pictured_study).data["training"]
    assert training["of"] == "clip seed_0" and training["from"] == "glyphs:train"
    data = sections(configs(pictured_study, glyphs_dir)["clip"]).data
    variant = make_variant(open_splits("glyphs", str(glyphs_dir), "train", data.class_names), data)
    every = originals(glyphs_dir, "train")
    for label, of_class in enumerate(training["classes"]):
        rows = np.flatnonzero(variant.labels == label)
        assert len(of_class) == min(4, len(rows))
        places = [0] if len(of_class) == 1 else np.linspace(0, len(rows) - 1, len(of_class)).round().astype(int)
        for (encoded, captions), row in zip(of_class, rows[places]):
            assert record_of(encoded, every) == variant.records[row]
            assert captions == [(variant.captions([row], 0)[0], ["clip"])]
    assert [of_class[0][1][0][0] for of_class in training["classes"][:2]] == [SCRIPT, IMAGE]


def test_test_images_have_the_prediction_of_each_run(pictured_study, glyphs_dir):
    test = images_of(pictured_study).data["test"]
    assert test["on"] == "glyphs:test"
    assert test["runs"] == [["clip", "seed_0"], ["clip", "seed_1"], ["sl", "seed_0"], ["sl", "seed_1"]]
    labels = open_source("glyphs", str(glyphs_dir), "test").metadata["label"].to_numpy()
    every = originals(glyphs_dir, "test")
    records = np.array([*every])
    expected = np.stack([predictions(kind, int(seed[-1]), labels[records]) for kind, seed in test["runs"]])
    for label, of_class in enumerate(test["classes"]):
        assert len(of_class) == 2
        for encoded, predicted in of_class:
            record = record_of(encoded, every)
            assert labels[record] == label and predicted == expected[:, records == record].ravel().tolist()


def test_figure_shows_images_of_its_classes_and_the_share_that_runs_get_right(pictured_study, glyphs_dir, tmp_path):
    runs = [(f"{pictured_study}/seed_{seed}/{kind}", kind.upper()) for kind in ("sl", "clip") for seed in (0, 1)]
    figure = accuracy_by_frequency.draw(entries(tmp_path, "run label", *runs), images=2)
    rows = figure.subfigs[1].axes
    names = read_directory(pictured_study).runs[0].class_names
    every = originals(glyphs_dir, "test")
    labels = open_source("glyphs", str(glyphs_dir), "test").metadata["label"].to_numpy()
    looks = styles(["SL", "CLIP"])
    assert len(rows) == 3
    for axes in rows:
        title = axes.get_title(loc="left")
        label = next(label for label, name in enumerate(names) if title.startswith(f"{name}: "))
        assert title.endswith(" training images")
        # Of two images, as `predictions` makes them
        assert [text.get_text() for text in axes.texts] == ["right:", "50 %", "75 %"]
        assert [line.get_marker() for line in axes.lines] == [looks[label]["marker"] for label in ("SL", "CLIP")]
        first, second = np.split(np.array(axes.get_images()[0].get_array()).astype(int), 2, axis=1)
        for shown, record in zip((first, second), [record for record in every if labels[record] == label]):
            expected = Image.fromarray(every[record].astype(np.uint8)).resize((88, 88))
            np.testing.assert_array_equal(shown[:88, :88], np.array(expected))


def test_images_of_archives_which_have_no_predictions_are_those_of_the_evaluation_by_their_numbers(pictured_study):
    evaluation = read_directory(pictured_study).runs[0].evaluation
    without = dataclasses.replace(evaluation, predicted=None)
    labels = np.repeat(np.arange(len(evaluation.class_names)), evaluation.results.examples)
    assert are_evaluated(labels, without) and not are_evaluated(labels[1:], without)
    assert not are_evaluated(np.append(labels, len(evaluation.class_names)), without)


def test_each_run_has_an_image_that_it_gets_right_and_one_that_it_gets_wrong():
    rng = np.random.default_rng(0)
    for _ in range(20):
        right = rng.random((3, 40)) < rng.uniform(0.2, 0.8, (3, 1))
        chosen = most_informative_images(right, 6)
        assert len(set(chosen)) == 6 and most_informative_images(right, 3) == chosen[:3]
        assert right[:, chosen].any(axis=1).all() and not right[:, chosen].all(axis=1).any()
    assert most_informative_images(np.ones((2, 3), bool), 5) == [0, 1, 2]
    assert most_informative_images(np.ones((2, 0), bool), 5) == []


def test_classes_are_compared_by_name_and_predictions_follow(study, glyphs_dir):
    """Of another run on other classes, in another order."""
    whole = images_of(study).data["test"]
    config = configs(study, glyphs_dir)["sl"]
    config.data.classes.first = 0
    names = open_source("glyphs", str(glyphs_dir), "train", config.data.class_names).class_names
    config.data.classes.names = names[20:2:-1]
    write_pictured_run(study / "seed_0" / "wide", config, lambda labels: (labels + 1) % 18)
    comparison = compare([read_directory(study)])
    test = page_images(comparison, 4).data["test"]
    assert comparison.labels[: comparison.classes] == list(names[3:12])
    place = test["runs"].index(["wide", "seed_0"])
    for label, (of_class, before) in enumerate(zip(test["classes"], whole["classes"][3:])):
        assert {encoded for encoded, _ in of_class} == {encoded for encoded, _ in before}
        for _, predicted in of_class:
            assert comparison.labels[predicted[place]] == names[label + 2 if label else 20]
            assert comparison.labels[predicted[0]] == names[label + 3]


def test_published_models_have_test_images_alone(tmp_path, glyphs_dir):
    for name, shift in (("one", 0), ("two", 1)):
        labels = open_set("glyphs:test", str(glyphs_dir)).variant.labels
        config = {"objective": MODE, "eval.sets": ["glyphs:test"], "data.data_dir": str(glyphs_dir)}
        write_json(make(tmp_path / name) / "config.json", {"config": config | {"eval.models": [name]}})
        predicted = (labels + shift) % 100
        confusion = count_confusion(labels, predicted, 100)
        write_evaluations(tmp_path / name, ["glyphs:test"], confusion, np.arange(100), predicted=predicted)
    found = images_of(tmp_path, 1)
    assert found.data["training"] is None and found.notes == []
    assert found.data["test"]["runs"] == [["one", ""], ["two", ""]]
    for label, of_class in enumerate(found.data["test"]["classes"]):
        assert [predicted for _, predicted in of_class] == [[label, (label + 1) % 100]]


def test_the_command_takes_the_number_of_images(study, capsys):
    assert main([f"--workdir={study}", "--images=1"]) == 0
    data = json.loads(re.search(r'id="images">(.*?)</script>', (study / "report.html").read_text()).group(1))
    assert {len(of_class) for part in data.values() for of_class in part["classes"]} == {1}
    assert main([f"--workdir={study}", "--images=0"]) == 0
    text = (study / "report.html").read_text()
    assert 'id="images"' not in text and "<h3>Images</h3>" not in text and "data:image/webp" not in text
    capsys.readouterr()
    assert main([f"--workdir={study}", "--images=-1"]) == 2
    assert capsys.readouterr().err == "error: --images=-1 is not a number of images: give 0 or more, or all\n"


def test_data_that_are_gone_are_named_and_not_built_again(study, tmp_path, glyphs_dir, nothing_is_cached):
    for path in study.glob("*/*/config.json"):
        path.write_text(path.read_text().replace(str(glyphs_dir), str(tmp_path / "gone")))
        (path.parent / "sha256.json").unlink()
    found = images_of(study)
    assert found.data is None and not (tmp_path / "gone").exists()
    advice = f"prepare it by cliptail build glyphs --data_dir={tmp_path / 'gone'}"
    gone = f"data set 'glyphs' is not prepared below {tmp_path / 'gone'} (it has no data set); {advice}"
    assert found.notes == [f"There are no training images: {gone}", f"There are no predictions of test images: {gone}"]
    text = page_of(study).read_text()
    assert text.count("is not prepared below") == 2 and 'id="classes"' in text


def test_other_data_than_those_of_the_training_are_not_shown(study):
    for path in study.glob("*/clip/variant.json"):
        path.write_text(json.dumps({"records": 3, "fingerprint": "0123456789abcdef"}))
        (path.parent / "sha256.json").unlink()
    found = images_of(study)
    assert found.data["training"]["of"] == "sl seed_0"  # the first whose data are there
    assert {len(captions) for of_class in found.data["training"]["classes"] for _, captions in of_class} == {0}
    [note] = found.notes
    what = "There are no training images or captions of clip: the current data are not those of the training"
    assert note.startswith(what)
    assert note.endswith("not 0123456789ab)")


def test_another_evaluation_set_than_that_of_the_evaluation_is_not_shown(study, monkeypatch):
    opened = evaluated_images.open_run_images

    def shifted(*arguments):
        found = opened(*arguments)
        made = object.__new__(type(found))
        made.__dict__.update(found.__dict__, labels=np.roll(found.labels, 1))
        return made

    monkeypatch.setattr(evaluated_images, "open_run_images", shifted)
    found = images_of(study)
    assert found.data["test"] is None and found.data["training"]
    assert found.notes == [
        "There are no predictions of test images: glyphs:test has other images or labels than at the evaluation"
    ]


def test_there_are_fewer_images_where_they_would_take_too_much_space(pictured_study, monkeypatch):
    sizes = [len(json.dumps(images_of(pictured_study, each).data)) for each in (1, 2, 4)]
    monkeypatch.setattr(images, "MAX_PAGE_BYTES", sizes[1])
    found = images_of(pictured_study)
    assert {len(of_class) for of_class in found.data["test"]["classes"]} <= {2}
    assert len(json.dumps(found.data)) <= sizes[1] < sizes[2]
    assert found.notes == [
        "The page would be too large with 4 training and 4 test images of 12 classes: it has 2 and 2 instead of 4 and 4."
    ]
    monkeypatch.setattr(images, "MAX_PAGE_BYTES", 1000)
    found = images_of(pictured_study)
    assert found.data is None and "it has none" in found.notes[0]
