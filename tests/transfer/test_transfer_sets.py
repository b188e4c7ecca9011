import numpy as np
import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.transfer.configuration import validate
from cliptail_jax.transfer.sets import TRANSFER_SETS, open_transfer_set, transfer_set
from configs import transfer


def test_the_studys_sets_have_its_metrics_validation_splits_and_episodes():
    """Those of the paper; other sets may join them."""
    assert set("birdsnap caltech101 cars cifar10 cifar100 dtd flowers102 food101 pets sun397".split()) <= set(
        TRANSFER_SETS
    )
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
    chosen = transfer_set(name)
    assert (chosen.source.name, chosen.splits, chosen.metric) == (source, splits, "accuracy")


@pytest.mark.parametrize(
    "name, message",
    [
        ("cifar10O", "unknown transfer set 'cifar10O' .did you mean cifar10"),
        ("glyphs:train", "unknown transfer set 'glyphs:train'.*NAME:TRAIN:TEST"),
        ("glyphs:train:train", "names a split twice"),
    ],
)
def test_what_is_no_set_is_an_error(name, message):
    with pytest.raises(UserError, match=message):
        transfer_set(name)


def test_voc_shows_classes_by_the_objects_that_are_not_difficult(synthetic_dir):
    opened = open_transfer_set("voc2007", str(synthetic_dir))
    labels = opened.labels("train")
    assert labels.shape == (60, 20) and opened.class_names[6] == "car"
    for record, shows in enumerate(labels):
        objects = opened.sources["train"].records[record]["objects"]
        easy = np.asarray(objects["label"])[~np.asarray(objects["is_difficult"])]
        assert set(np.flatnonzero(shows)) == set(easy.tolist())
    assert any(np.any(opened.sources["train"].records[record]["objects"]["is_difficult"]) for record in range(60))


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("methods", ("prob",), r"methods has 'prob' \(did you mean probe\?\): there are probe, few_shot, finetune"),
        ("models", (), "models is empty"),
        ("sets", (10,), r"'sets' is \(10,\); each of its elements is a str"),
        ("few_shot.shots", 0, "'few_shot.shots' is 0; it must be positive"),
    ],
)
def test_a_value_that_a_field_cannot_have_is_an_error(key, value, message):
    config = transfer.get_config("models=runs/sup")
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=message):
        validate(config)


def test_the_config_files_arguments_are_lists_and_unknown_ones_errors():
    config = transfer.get_config("models=a+b,sets=cars+dtd,methods=probe")
    assert (config.models, config.sets, config.methods) == (("a", "b"), ("cars", "dtd"), ("probe",))
    assert set(transfer.get_config().sets) == set(TRANSFER_SETS)
    with pytest.raises(UserError, match="unknown config argument 'model'"):
        transfer.get_config("model=a")
