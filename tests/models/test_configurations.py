"""Configurations of models whose values are none: each is a line, whatever the value."""

import copy
import json
from pathlib import Path

import pytest
from verdicts import verdict

from cliptail_jax.errors import UserError
from cliptail_jax.models.build import abstract_model
from cliptail_jax.models.encoder_shapes import encoder_shape
from cliptail_jax.models.open_clip import architecture_names, check_model, named_architecture

DATA = Path(__file__).parents[1] / "data"
CASES = json.loads((DATA / "pretrained_parity.json").read_text())
UNSUPPORTED = json.loads((DATA / "unsupported_architectures.json").read_text())  # made by scripts/parity
VALUES = (1e30, 10**30, -1, 0, 7, "x", None, [3, "x"], {"eps": "x"}, float("nan"))


def build(config):
    check_model(config)
    abstract_model({"model_cfg": config})


def wrong(config, *sections):
    """The config with each value of itself and its sections replaced by each of `VALUES`, one at a time."""
    for section in ("", *sections):
        for key in config[section] if section else config:
            for value in VALUES:
                changed = copy.deepcopy(config)
                (changed[section] if section else changed)[key] = value
                yield f"{section}.{key}={value!r}", changed


def refused(build, cases):
    """The number of cases that are refused, each in one line; the others are built."""
    number = 0
    for what, case in cases:
        try:
            build(case)
        except UserError as error:
            number += 1
            assert "\n" not in str(error), what
        except Exception as error:
            pytest.fail(f"{what} raises {error!r}")
    return number


@pytest.mark.parametrize("name", ["resnet", "coca"])
def test_every_wrong_value_of_a_configuration_is_one_line(name):
    assert refused(build, wrong(CASES[name]["config"], "vision_cfg", "text_cfg")) > 50


@pytest.mark.parametrize("name", ["bert-pooler", "mt5-mean", "nllb-mean"])
def test_every_wrong_value_of_an_encoders_configuration_is_one_line(name):
    assert refused(encoder_shape, wrong(CASES[name]["encoder"])) > 50


def test_a_size_that_an_encoders_configuration_lacks_is_named():
    for name, size in (("bert-pooler", "layer_norm_eps"), ("mt5-mean", "d_kv"), ("nllb-mean", "encoder_ffn_dim")):
        encoder = {key: value for key, value in CASES[name]["encoder"].items() if key != size}
        with pytest.raises(UserError, match=f"config.json has no '{size}'"):
            encoder_shape(encoder)
    with pytest.raises(UserError, match='model_type="gpt2", which is not supported; "bert", .* "mt5", "m2m_100" are'):
        encoder_shape({"model_type": "gpt2"})


def test_open_clips_144_names_are_supported_or_not():
    assert len(UNSUPPORTED.keys() | architecture_names()) == 144
    assert not UNSUPPORTED.keys() & architecture_names()


@pytest.mark.parametrize("name", architecture_names())
def test_a_named_architecture_can_be_built(name):
    assert verdict(named_architecture(name)) == ""


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_an_architecture_that_is_not_supported_is_refused_in_a_line_that_says_why(name):
    refused = UNSUPPORTED[name]
    assert verdict(refused["config"]) == refused["error"]
    assert "\n" not in refused["error"]


def test_an_unknown_architecture_or_encoder_is_named_with_similar_ones():
    with pytest.raises(UserError, match="unknown architecture 'ViT-B-33' .did you mean ViT-B-32"):
        named_architecture("ViT-B-33")
    config = named_architecture("ViT-B-32")
    config["text_cfg"] = {"hf_model_name": "owner/encoder"}
    assert verdict(config).startswith("the text encoder owner/encoder is not in encoders.json")
