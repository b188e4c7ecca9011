"""Published models against a plain evaluation of the same files: one image, one prompt at a time."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from cliptail_jax.config.zero_shot import typed_config
from cliptail_jax.datasets.source import open_source
from cliptail_jax.formats.frequency_tables import read_frequency
from cliptail_jax.jobs.evaluate import evaluate_models
from cliptail_jax.pretrained.published_clip import load
from tests.evaluation.plain_evaluation import (
    CALIBRATION,
    count_confusion,
    evaluation_files,
    plain_evaluation,
    softmax,
    unit,
)
from tests.evaluation.zero_shot.conftest import FILES

DEVICES = 8

CLASSES, IMAGES = 100, 200


def plain(config):
    """Features, labels and class vectors of the one model."""
    return plain_evaluation(config.eval.models[0], config.data.data_dir, config.eval.templates, CLASSES)


def test_numbers_equal_a_plain_evaluation(config, frequency_table, tmp_path, make_model):
    table, counts = frequency_table
    config.eval.class_frequency = str(table)
    evaluate_models(typed_config(config), tmp_path / "run")
    features, labels, head = plain(config)
    cosines = unit(features) @ head.T
    confusion = count_confusion(labels, cosines.argmax(1), CLASSES)
    accuracy = np.diag(confusion) / confusion.sum(1)

    (line,), arrays = evaluation_files(tmp_path / "run")
    assert len(np.unique(cosines.argmax(1))) > 5, "the model predicts few classes"
    np.testing.assert_array_equal(arrays["confusion"], confusion)
    np.testing.assert_array_equal(arrays["predicted"], cosines.argmax(1))
    assert line["top1"] == pytest.approx(100 * accuracy.mean()) and line["examples"] == IMAGES
    in_five = [label in np.argsort(-row)[:5] for label, row in zip(labels, cosines)]
    assert line["top5"] == pytest.approx(100 * np.mean(in_five))
    assert line["corr_acc"] == pytest.approx(spearmanr(counts, accuracy).statistic)
    assert line["corr_pred"] == pytest.approx(spearmanr(counts, confusion.sum(0)).statistic)
    assert line["tail"] == pytest.approx(100 * accuracy[np.argsort(-counts, kind="stable")[-33:]].mean())

    directory = tmp_path / "run" / "eval" / FILES
    names_and_counts = read_frequency(directory / "class_frequency.tsv")
    np.testing.assert_array_equal(names_and_counts[1], counts)
    assert len(names_and_counts[0]) == CLASSES
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["eval.models"] == [str(make_model(1))]


def test_a_siglip_ranks_classes_by_its_cosines_times_scale_plus_bias(config, tmp_path, siglip):
    """Prompts without capitals and punctuation, padded by the end token; images squashed, with SigLIP's statistics."""
    config.eval.update({"models": (str(siglip),)})
    evaluate_models(typed_config(config), tmp_path / "run")
    features, labels, head = plain(config)
    model = load(siglip).model
    logits = np.exp(float(model.logit_scale[...])) * unit(features) @ head.T + float(model.logit_bias[...])
    confusion = count_confusion(labels, logits.argmax(1), CLASSES)
    (line,), arrays = evaluation_files(tmp_path / "run")
    assert model.logit_bias[...] < -5 and len(np.unique(logits.argmax(1))) > 3
    np.testing.assert_array_equal(arrays["confusion"], confusion)
    assert line["top5"] == pytest.approx(100 * np.mean([k in np.argsort(-row)[:5] for k, row in zip(labels, logits)]))


def test_logits_are_adjusted_by_the_given_frequency_or_else_by_the_models_own_predictions(
    config, frequency_table, tmp_path, make_model
):
    table, counts = frequency_table
    features, labels, head = plain(config)
    logits = np.exp(float(load(make_model(1)).model.logit_scale[...])) * unit(features) @ head.T
    config.eval.update({"class_frequency": str(table), "logit_adjustment": 0.1})
    evaluate_models(typed_config(config), tmp_path / "known")
    config.eval.update({"class_frequency": "", "estimate_prior": True})
    evaluate_models(typed_config(config), tmp_path / "estimated")
    priors = {"known": np.maximum(counts, 1) / counts.sum(), "estimated": softmax(logits).mean(0)}
    for name, prior in priors.items():
        predicted = (logits - 0.1 * np.log(prior)).argmax(1)
        (line,), arrays = evaluation_files(tmp_path / name)
        np.testing.assert_array_equal(arrays["per_class_predictions"], np.bincount(predicted, minlength=CLASSES))
        assert line["settings"]["logit_adjustment"] == 0.1
        assert (predicted != logits.argmax(1)).any(), name


def test_weights_that_are_split_over_devices_give_the_same_numbers(config, tmp_path):
    config.mesh.fsdp = 4
    evaluate_models(typed_config(config), tmp_path)
    features, _, head = plain(config)
    predicted = (unit(features) @ head.T).argmax(1)
    np.testing.assert_array_equal(evaluation_files(tmp_path)[1]["predicted"], predicted)


def test_without_a_class_frequency_there_are_accuracies_alone(config, tmp_path):
    evaluate_models(typed_config(config), tmp_path)
    (line,), arrays = evaluation_files(tmp_path)
    assert {"top1", "top5", "examples", "settings", "model", "weights"} <= line.keys()
    assert not {"corr_acc", "corr_pred", "head", "mid", "tail", "image_image_similarity"} & line.keys()
    expected = {"confusion", "per_class_accuracy", "per_class_predictions", "predicted", "class_names", "name_tokens"}
    assert set(arrays) == expected | CALIBRATION and len(arrays["class_names"]) == CLASSES
    assert "ece" in line and not [key for key in line if key.startswith("overconfidence")]
    assert not list(tmp_path.rglob("*.npy")) and not list(tmp_path.rglob("class_frequency.tsv"))


def test_names_in_templates_and_the_same_prompts_by_class_give_the_same_numbers(config, glyphs_dir, tmp_path):
    names = open_source("glyphs", str(glyphs_dir), "test").class_names
    own_names = [f"the sign {number}" for number in range(len(names))]
    (tmp_path / "names.txt").write_text("\n".join(own_names))
    (tmp_path / "templates.txt").write_text("a photo of {}\n{} on paper\n")
    prompts = {name: [f"a photo of {o}", f"{o} on paper"] for name, o in zip(names, own_names)}
    (tmp_path / "prompts.json").write_text(json.dumps(prompts))
    config.eval.class_names, config.eval.templates = str(tmp_path / "names.txt"), str(tmp_path / "templates.txt")
    (by_name,) = evaluate_models(typed_config(config), tmp_path / "named")
    config.eval.class_names, config.eval.templates = "", str(tmp_path / "prompts.json")
    (by_class,) = evaluate_models(typed_config(config), tmp_path / "by_class")
    assert by_name["settings"]["prompts"] == by_class["settings"]["prompts"]
    confusion = [np.load(tmp_path / run / "eval/glyphs_test/latest.npz")["confusion"] for run in ("named", "by_class")]
    np.testing.assert_array_equal(*confusion)
