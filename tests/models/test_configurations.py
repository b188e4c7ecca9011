"""Configurations of models whose values are none: each is a line, whatever the value."""

import copy
import json
from pathlib import Path

import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.models.build import abstract_model
from cliptail_jax.models.open_clip import architecture_names, check_model, named_architecture
from cliptail_jax.models.text_towers import bert_shape

CASES = json.loads((Path(__file__).parents[1] / "data" / "pretrained_parity.json").read_text())
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


@pytest.mark.usefixtures("tiny_members")
@pytest.mark.parametrize(
    "name, sections",
    [
        ("resnet", ("vision_cfg", "text_cfg")),
        ("coca", ("vision_cfg", "text_cfg")),
        ("vitamin", ("vision_cfg",)),
        ("fastvit", ("vision_cfg",)),
    ],
)
def test_every_wrong_value_of_a_configuration_is_one_line(name, sections):
    assert refused(build, wrong(CASES[name]["config"], *sections)) > 50


def test_every_wrong_value_of_an_encoders_configuration_is_one_line():
    assert refused(bert_shape, wrong(CASES["bert-pooler"]["encoder"])) > 50


@pytest.mark.parametrize("name", architecture_names())
def test_every_named_architecture_has_values_of_the_right_kind(name):
    check_model(named_architecture(name))
