import json

import jax
import numpy as np
import pytest
from flax import nnx

from cliptail_jax.host.errors import UserError
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.parallel.sharding import make_mesh
from cliptail_jax.transfer.configuration import typed_config
from cliptail_jax.transfer.models import open_transfer_model
from cliptail_jax.transfer.sets import (
    TRANSFER_SETS,
    accuracy,
    eleven_point_average_precision,
    mean_average_precision,
    mean_per_class_accuracy,
    transfer_set,
)
from configs import transfer
from tests.saved_state import read_state
from tests.synthetic import sections


def test_the_studys_sets_have_its_metrics_validation_splits_and_episodes():
    """Those of the paper; other sets may join them."""
    names = "birdsnap caltech101 cars cifar10 cifar100 dtd flowers102 food101 pets sun397".split()
    assert set(names) <= set(TRANSFER_SETS)
    assert TRANSFER_SETS["aircraft"].metric == TRANSFER_SETS["pets"].metric == "mean per-class accuracy"
    assert TRANSFER_SETS["dtd"].validation and not TRANSFER_SETS["cars"].validation
    assert TRANSFER_SETS["food101"].splits == ("train", "validation")  # TFDS's name of its test images
    voc = TRANSFER_SETS["voc2007"]
    assert (voc.metric, voc.has_objects, voc.few_shot) == ("11-point mAP", True, False)


@pytest.mark.parametrize(
    "name, source, splits",
    [
        ("cifar100:3.0.2:train:test", "cifar100:3.0.2", ("train", "test")),
        ("fgvc_aircraft/family:train:validation:test", "fgvc_aircraft/family", ("train", "validation", "test")),
    ],
)
def test_any_other_set_is_named_with_its_splits(name, source, splits):
    definition = transfer_set(name)
    assert (definition.source.name, definition.splits, definition.metric) == (source, splits, "accuracy")


@pytest.mark.parametrize(
    "name, message",
    [
        ("cifar10O", "unknown transfer set 'cifar10O' .did you mean cifar10"),
        ("glyphs:train", "unknown transfer set 'glyphs:train'.*NAME:TRAIN:TEST"),
        ("glyphs:train:train", "names a split twice"),
    ],
)
def test_an_unknown_transfer_set_is_an_error(name, message):
    with pytest.raises(UserError, match=message):
        transfer_set(name)


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("methods", ("prob",), r"methods has 'prob' \(did you mean probe\?\): there are probe, few_shot, finetune"),
        ("sets", (), "sets is empty"),
        ("sets", (10,), r"'sets' is \(10,\); each of its elements must be of type str"),
        ("few_shot.shots", 0, "'few_shot.shots' is 0; it must be positive"),
        ("finetune.learning_rates", (0.1, 0.0), "'finetune.learning_rates' is .* each"),
        ("finetune.weight_decays", (), "'finetune.weight_decays' is .* each"),
    ],
)
def test_a_value_that_a_field_cannot_have_is_an_error(key, value, message):
    config = transfer.get_config("models=runs/sup")
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=message):
        typed_config(config)


def test_the_config_files_arguments_are_lists_and_unknown_ones_errors():
    config = transfer.get_config("models=a+b,sets=cars+dtd,methods=probe")
    assert (config.models, config.sets, config.methods) == (("a", "b"), ("cars", "dtd"), ("probe",))
    assert set(transfer.get_config().sets) == set(TRANSFER_SETS)
    with pytest.raises(UserError, match="unknown config argument 'model'"):
        transfer.get_config("model=a")


def direct_average_precision(scores, positives):
    ranked = [positives[i] for i in sorted(range(len(scores)), key=lambda i: -scores[i])]
    points = [(sum(ranked[:k]) / sum(ranked), sum(ranked[:k]) / k) for k in range(1, len(ranked) + 1)]
    return sum(max(p for recall, p in points if recall >= r / 10 - 1e-9) for r in range(11)) / 11


def test_accuracies_count_examples_and_classes():
    labels, predictions = np.array([0, 0, 0, 1, 3]), np.array([0, 0, 1, 1, 2])
    assert accuracy(predictions, labels) == pytest.approx(3 / 5)
    per_class = [np.mean(predictions[labels == label] == label) for label in (0, 1, 3)]  # class 2 has no example
    assert mean_per_class_accuracy(predictions, labels) == pytest.approx(np.mean(per_class))


def test_average_precision_equals_a_direct_version():
    rng = np.random.default_rng(0)
    scores, positives = rng.normal(size=(60, 20)), rng.random((60, 20)) < 0.2
    positives[0] = True
    direct = [direct_average_precision(scores[:, c], positives[:, c]) for c in range(20)]
    for c in range(20):
        assert eleven_point_average_precision(scores[:, c], positives[:, c]) == pytest.approx(direct[c])
    assert mean_average_precision(scores, positives) == pytest.approx(np.mean(direct))


def test_a_dino_runs_image_tower_is_the_teachers(trained_run):
    config, workdir = trained_run("dino")
    model = open_transfer_model(str(workdir))
    graphdef, state, preprocess = model.load(make_mesh(sections(config).mesh))
    assert (model.run.step, preprocess) == (2, Preprocess(config.data.image_size))
    parameters = nnx.to_pure_dict(nnx.state(nnx.merge(graphdef, state).visual, nnx.Param))
    teachers = jax.tree.leaves(read_state(workdir)["ema"]["visual"])
    for parameter, teacher in zip(jax.tree.leaves(parameters), teachers, strict=True):
        np.testing.assert_array_equal(parameter, teacher)


def test_names_are_runs_or_published_models(published, sup_run):
    assert open_transfer_model(str(sup_run)).run.step > 0
    assert open_transfer_model(str(published)).run is None
    of_the_hub = open_transfer_model("RN50-quickgelu/cc12m")
    assert of_the_hub.weights == "hf-hub:timm/resnet50_clip.cc12m"  # without a look at the Hub
    assert open_transfer_model("RN50/cc12m").weights != of_the_hub.weights  # the same ones, with another activation
    with pytest.raises(UserError, match="unknown model 'RN50-quickgelu/cc12n'.*did you mean RN50-quickgelu/cc12m"):
        open_transfer_model("RN50-quickgelu/cc12n")


def test_evaluations_of_a_published_model_are_no_model(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"config": {"objective": "zero_shot"}}))
    with pytest.raises(UserError, match="contains evaluations of a published model: give the name of that model"):
        open_transfer_model(str(tmp_path))
