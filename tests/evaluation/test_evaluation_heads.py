"""Class heads: from templates, from another head, and from some rows of the run's own."""

import json
import re

import numpy as np
import pytest

from cliptail_jax.concepts.class_lists import imagenet_names
from cliptail_jax.curation.classes import random_classes
from cliptail_jax.datasets.known_sources import EVALUATION_SETS, EvaluationSet, KnownSource
from cliptail_jax.datasets.source import open_source
from cliptail_jax.evaluation.counting import ClassHead, check_head
from cliptail_jax.evaluation.heads import columns_of
from cliptail_jax.evaluation.prompts import check_distinct
from cliptail_jax.evaluation.results import GROUPS, file_digest, is_evaluated
from cliptail_jax.formats.frequency_tables import read_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.jobs.evaluate import evaluate
from cliptail_jax.results.evaluation import read_evaluation
from cliptail_jax.results.run import Run
from tests.evaluation.plain_evaluation import (
    ARRAYS,
    CLASSES,
    copied,
    cosines,
    count_confusion,
    evaluation_files,
    plain_features,
    unit,
)
from tests.synthetic import sections

DEVICES = 8


def test_a_finished_run_is_evaluated_with_other_templates_and_another_ranking(clip_run, tmp_path):
    config, workdir = copied(clip_run, tmp_path)
    names, _ = read_frequency(workdir / "class_frequency.tsv")
    ranked = ["Something else", *names[::-1]]  # the last class is the most frequent, in a table of another order
    rank_by = tmp_path / "other.tsv"
    rank_by.write_text("".join(f"{name.upper().replace(' ', '_')}\t{100 - i}\n" for i, name in enumerate(ranked)))
    config.eval.update({"templates": "cname", "rank_by": str(rank_by), "head_classes": 2, "tail_classes": 5})
    evaluate(config, workdir)
    (_, line), arrays = evaluation_files(workdir)
    assert line["settings"]["templates"] == "cname" and line["settings"]["rank_by"] == file_digest(str(rank_by))
    assert arrays["head"].tolist() == [11, 10] and arrays["tail"].tolist() == [4, 3, 2, 1, 0]
    assert line["tail"] == pytest.approx(100 * arrays["per_class_accuracy"][:5].mean())

    features, labels, head = plain_features(config, workdir)
    predicted = np.argmax(features @ head.T, 1)
    np.testing.assert_array_equal(arrays["per_class_predictions"], np.bincount(predicted, minlength=CLASSES))


def test_a_run_is_evaluated_on_some_of_its_classes_alone(clip_run, tmp_path):
    config, workdir = copied(clip_run, tmp_path)
    config.eval.random_classes = 5
    evaluate(config, workdir)
    _, arrays = evaluation_files(workdir)
    classes = random_classes(CLASSES, 5, config.data.seed)
    features, labels, head = plain_features(config, workdir)
    mask = np.isin(labels, classes)
    predicted = np.argmax(features[mask] @ head[classes].T, 1)
    np.testing.assert_array_equal(arrays["per_class_predictions"], np.bincount(predicted, minlength=5))
    assert arrays["confusion"].sum() == mask.sum()
    names, frequency = read_frequency(workdir / "class_frequency.tsv")
    of_set = read_frequency(workdir / "eval" / "glyphs_test" / "class_frequency.tsv")
    assert of_set[0] == tuple(names[c] for c in classes) and of_set[1].tolist() == frequency[classes].tolist()
    config.eval.random_classes = 0
    evaluate(config, workdir)
    assert len(read_evaluation(workdir, "glyphs:test").frequency) == CLASSES
    config.eval.random_classes = 13
    with pytest.raises(UserError, match="eval.random_classes=13, but the run has 12 classes"):
        evaluate(config, workdir)


@pytest.fixture
def part_set(glyphs_dir, tmp_path, monkeypatch):
    """Makes a set 'part' of the glyphs with these labels, in this order, under its short name."""

    def make(labels):
        names = open_source("glyphs", str(glyphs_dir), "test").class_names
        class_names = tuple(names[label] for label in labels)
        class_list = tmp_path / "part.json"
        class_list.write_text(json.dumps([{"name": name} for name in class_names]))
        part = EvaluationSet("part", "test", ("the {}.", "a {}."), str(class_list), source=KnownSource("glyphs"))
        monkeypatch.setitem(EVALUATION_SETS, "part", part)
        return class_names

    return make


@pytest.mark.parametrize("name", ["sl_run", "clip_run"])
def test_a_set_with_some_of_the_classes_is_scored_on_their_columns_alone(name, part_set, request, tmp_path):
    config, workdir = copied(request.getfixturevalue(name), tmp_path)
    features, labels, head = plain_features(config, workdir)
    classes = [7, 2, 9, 0]
    names = part_set(classes)
    config.eval.update({"sets": ("part",), "save_features": True, "similarity": True, "neural_collapse": False})
    summary = evaluate(config, workdir)["part"]
    assert {"part"} < {*Run(workdir).sets} and Run(workdir).main_set != "part"

    mask = np.isin(labels, classes)
    features, labels = features[mask], np.array([classes.index(label) for label in labels[mask]])
    unit_features, head = unit(features), unit(head[classes])
    confusion = count_confusion(labels, (unit_features @ head.T).argmax(1), 4)
    directory = workdir / "eval" / "part"
    with np.load(directory / "latest.npz") as arrays:
        np.testing.assert_array_equal(arrays["confusion"], confusion)
        values = {"image_image_similarity", "image_text_similarity", "image_text_similarity_std"}
        assert set(arrays) == ARRAYS | values | ({"name_tokens"} if name == "clip_run" else set())
        of_pairs = [unit_features[labels == label] @ unit_features[labels == label].T for label in range(4)]
        np.testing.assert_allclose(arrays["image_image_similarity"], [pair[0, 1] for pair in of_pairs], atol=1e-5)
        frequency_of = dict(zip(*read_frequency(workdir / "class_frequency.tsv")))
        frequency = [frequency_of[name] for name in names]
        np.testing.assert_array_equal(arrays["head"], np.argsort(-np.array(frequency), kind="stable")[:1])
    assert read_frequency(directory / "class_frequency.tsv")[1].tolist() == frequency
    own_cosines = np.sum(unit_features * head[labels], axis=1)
    assert summary["image_text_similarity"] == pytest.approx(own_cosines.mean(), abs=1e-5)
    np.testing.assert_allclose(np.load(directory / "features.npy"), features, rtol=1e-6, atol=1e-5)
    np.testing.assert_array_equal(np.load(directory / "labels.npy"), labels)
    np.testing.assert_allclose(unit(np.load(directory / "head.npy")), head, atol=1e-5)


def test_classes_that_the_run_was_not_trained_on_have_prompts_but_no_frequency(sl_run, clip_run, part_set, tmp_path):
    part_set([3, 50, 60])
    config, workdir = copied(clip_run, tmp_path / "clip")
    config.eval.update({"sets": ("part",), "templates": ""})
    summary = evaluate(config, workdir)["part"]
    assert summary["examples"] == 6 and not {"corr_acc", "corr_pred", *GROUPS} & summary.keys()
    config.eval.logit_adjustment = 1.0
    with pytest.raises(
        UserError, match="needs the class frequency of 'part', .*'name:split', or set eval.estimate_prior"
    ):
        evaluate(config, workdir)
    config.eval.estimate_prior = True
    assert evaluate(config, workdir)["part"]["examples"] == 6
    config, workdir = copied(sl_run, tmp_path / "sl")
    config.eval.sets = ("part",)
    with pytest.raises(UserError, match="'part' has classes that the run was not trained on"):
        evaluate(config, workdir)


def test_a_supervised_run_under_another_head_has_no_logits_to_calibrate_or_to_adjust(sl_run, tmp_path):
    """The scale was learned with the run's own head, and says nothing about how sure another one is."""
    config, workdir = copied(sl_run, tmp_path)
    features, labels, _ = plain_features(config, workdir)
    head = np.random.default_rng(0).normal(size=(CLASSES, 16)).astype(np.float32)
    path = tmp_path / "other.npy"
    np.save(path, head)
    config.head.update({"init": str(path), "freeze": True})
    summary = evaluate(config, workdir)["glyphs:test"]
    assert summary["top1"] == pytest.approx(100 * np.mean(cosines(features, head).argmax(1) == labels))
    assert summary["settings"]["head"] == str(path)
    assert not [
        key for key in (*summary, *evaluation_files(workdir)[1]) if re.match("ece|overconfidence|calibration", key)
    ]
    assert not is_evaluated(workdir, sections(sl_run[0]).eval, uses_prompts=False), (
        "its own head's evaluation is another"
    )

    np.save(path, head[:, :8])
    with pytest.raises(UserError, match="other.npy' is 8 wide, but the run's features are 16 wide"):
        evaluate(config, workdir)
    config.eval.logit_adjustment = 1.0
    with pytest.raises(UserError, match="eval.logit_adjustment=1 needs logits, but head.init replaces the head"):
        evaluate(config, workdir)


def test_imagenets_classes_are_found_under_either_of_their_names():
    captions, prompts = (tuple(imagenet_names(names).values()) for names in ("imagenet1k", "imagenet1k_eval"))
    assert columns_of(prompts, captions).tolist() == list(range(1000))
    assert columns_of(captions[5:8], captions[::-1]).tolist() == [994, 993, 992]
    assert columns_of(("a hare", *captions[:2]), captions) is None


def test_prompts_that_are_the_same_to_the_tower_are_refused():
    tokens = np.array([[1, 2, 9], [1, 2, 9], [1, 3, 9]])
    message = (
        "^eval.templates='simple': 1 of 3 classes have the prompts of others .*, such as 'b' and 'a'; it reads 3 tokens"
    )
    with pytest.raises(UserError, match=message):
        check_distinct(tokens, [1, 1, 1], ("a", "b", "c"), "simple")
    check_distinct(tokens, [1, 1, 1], ("a", "a", "c"), "simple")  # two classes with the same name
    with pytest.raises(UserError, match="1 of 2 classes have the prompts"):  # in another order
        check_distinct(tokens[[0, 2, 2, 1]], [2, 2], ("a", "b"), "simple")


@pytest.mark.parametrize(
    "parts",
    [{"embeddings": np.nan}, {"bias": np.inf}, {"logit_scale": np.float32(100)}],
    ids=lambda parts: next(iter(parts)),
)
def test_a_head_whose_numbers_are_not_finite_is_refused(parts):
    good = {"embeddings": np.ones((2, 3)), "bias": np.zeros(2), "logit_scale": np.float32(4.6)}
    check_head(ClassHead(**good), "pets:test")
    with pytest.raises(UserError, match="the class embeddings of pets:test, .* have NaN or infinite values"):
        check_head(ClassHead(**good | {key: good[key] + value for key, value in parts.items()}), "pets:test")
