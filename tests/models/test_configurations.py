"""Configurations of models whose values are none: each is a line, whatever the value."""

import copy
import json
from pathlib import Path

import jax
import pytest
from flax import nnx

from cliptail_jax.host.errors import UserError
from cliptail_jax.models.build import abstract_model
from cliptail_jax.models.encoder_shapes import encoder_shape
from cliptail_jax.models.open_clip import architecture_names, check_model, named_architecture
from scripts.parity.supported import unsupported

DATA = Path(__file__).parents[1] / "data"
CASES = json.loads((DATA / "pretrained_parity.json").read_text())
VALUES = (1e30, 10**30, -1, 0, 7, "x", None, [3, "x"], {"eps": "x"}, float("nan"))


def build(config):
    check_model(config)
    abstract_model({"model_cfg": config})


def wrong(config, *sections):
    """The config with each value of itself and its sections replaced by each of `VALUES`, one at a time."""
    for section in ("", *sections):
        for key in config[section] if section else config:
            for value in VALUES:
                new_config = copy.deepcopy(config)
                (new_config[section] if section else new_config)[key] = value
                yield f"{section}.{key}={value!r}", new_config


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
        ("resnet", ("vision_cfg",)),
        ("coca", ("vision_cfg", "text_cfg")),
        ("siglip", ("vision_cfg", "text_cfg")),
        ("pe-core", ("vision_cfg",)),
    ],
)
def test_every_wrong_value_of_a_configuration_is_one_line(name, sections):
    assert refused(build, wrong(CASES[name]["config"], *sections)) > 50


@pytest.mark.parametrize(
    "section, change, message",
    [
        ("vision_cfg", {"timm_pool": "avg"}, 'timm_pool="avg", which is not supported; "map" are'),
        ("vision_cfg", {"timm_pool": None}, 'timm_pool="avg", which is not supported'),  # open_clip's default
        ("", {"embed_dim": 16}, "features 32 wide, without a projection, not 16: set model.image.output_dim"),
        ("text_cfg", {"proj_type": "none", "width": 16}, "text tower's width 16 is not embed_dim=32"),
    ],
)
def test_a_configuration_that_no_siglip_has_is_refused_by_name(section, change, message, tiny_members):
    config = copy.deepcopy(CASES["siglip"]["config"])
    part = config[section] if section else config
    part |= change
    if change == {"timm_pool": None}:
        del part["timm_pool"]
    with pytest.raises(UserError, match=message):
        build(config)


@pytest.mark.parametrize("name, size", [("bert-pooler", "layer_norm_eps"), ("nllb-mean", "encoder_ffn_dim")])
def test_every_wrong_or_missing_value_of_an_encoders_configuration_is_one_line(name, size):
    encoder = CASES[name]["encoder"]
    assert refused(encoder_shape, wrong(encoder)) > 50
    with pytest.raises(UserError, match=f"config.json has no '{size}'"):
        encoder_shape({key: value for key, value in encoder.items() if key != size})


def test_an_encoder_of_another_kind_is_named():
    with pytest.raises(UserError, match='model_type="gpt2", which is not supported; "bert", .* "m2m_100" are'):
        encoder_shape({"model_type": "gpt2"})


# Some kinds of image towers and of text towers; scripts/check_parity.py --supported has all.
KINDS = ("coca_ViT-B-32", "convnext_tiny", "EVA02-B-16", "ViT-B-16-SigLIP2", "PE-Core-T-16-384", "MobileCLIP2-S0")
KINDS += ("ViTamin-S", "xlm-roberta-base-ViT-B-32", "nllb-clip-base-siglip")


@pytest.mark.parametrize("name", KINDS)
def test_a_named_architecture_can_be_built(name):
    assert unsupported(named_architecture(name)) == ""


def test_an_unknown_architecture_or_encoder_is_named_with_similar_ones():
    assert len(architecture_names()) == 139
    with pytest.raises(UserError, match="unknown architecture 'ViT-B-33' .did you mean ViT-B-32"):
        named_architecture("ViT-B-33")
    config = named_architecture("ViT-B-32")
    config["text_cfg"] = {"hf_model_name": "owner/encoder"}
    assert unsupported(config).startswith("the text encoder owner/encoder is not in encoders.json")


@pytest.mark.parametrize(
    "name, of_image_tower, of_all", [("RN50", 38_316_896, 102_007_137), ("ViT-B-32", 87_849_216, 151_277_313)]
)
def test_parameters_are_as_many_as_open_clip_reports(name, of_image_tower, of_all):
    model = abstract_model({"model_cfg": named_architecture(name)})
    count = lambda model: sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))  # noqa: E731
    assert (count(model.visual), count(model)) == (of_image_tower, of_all)
