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
        ("glyphs:train:test", "glyphs", ("train", "test")),
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


def test_a_set_that_is_not_prepared_is_an_error_that_says_how_to(tmp_path):
    with pytest.raises(UserError, match="'birdsnap' is not prepared.*cliptail_jax.datasets.build birdsnap"):
        open_transfer_set("birdsnap", str(tmp_path))


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
        ("methods", (), "methods has ''"),
        ("models", (), "models is empty"),
        ("sets", (), "sets is empty"),
        ("sets", (10,), r"'sets' is \(10,\); each of its elements is a str"),
        ("image_size", -1, "'image_size' is -1"),
        ("batch_size", 0, "'batch_size' is 0; it must be positive"),
        ("seed", -1, "'seed' is -1; it must not be negative"),
        ("few_shot.shots", 0, "'few_shot.shots' is 0; it must be positive"),
        ("data.max_unreadable", 2.0, "'data.max_unreadable' is 2.0; it is a share"),
    ],
)
def test_a_value_that_a_field_cannot_have_is_an_error(key, value, message):
    config = transfer.get_config("models=runs/sup")
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=message):
        validate(config)


def test_an_unknown_or_missing_field_is_an_error():
    config = transfer.get_config("models=runs/sup,sets=cars")
    validate(config)
    with config.unlocked():
        config.few_shot.shot = 1
    with pytest.raises(UserError, match="unknown config key 'few_shot.shot' .did you mean few_shot.shots"):
        validate(config)
    with config.unlocked():
        del config.few_shot.shot, config.seed
    with pytest.raises(UserError, match="config key 'seed' is missing"):
        validate(config)


def test_the_config_files_arguments_are_lists_and_unknown_ones_errors():
    config = transfer.get_config("models=a+b,sets=cars+dtd,methods=probe")
    assert (config.models, config.sets, config.methods) == (("a", "b"), ("cars", "dtd"), ("probe",))
    assert set(transfer.get_config().sets) == set(TRANSFER_SETS)
    with pytest.raises(UserError, match="unknown config argument 'model'"):
        transfer.get_config("model=a")
