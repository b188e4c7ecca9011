"""Every family of open_clip's that loads, against features that open_clip computed (scripts/make_parity_fixtures.py)."""

from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file

from cliptail_jax.host.errors import UserError
from cliptail_jax.pretrained.published_clip import load
from cliptail_jax.pretrained.save import save
from tests.models.quick import QUICK
from tests.pretrained.seeded_weights import draw_images
from tests.pretrained.tiny_models import CASES, assert_same, write_model

RELATIVE = 1e-5
features = jax.jit(lambda tower, inputs: tower(inputs), compiler_options=QUICK)  # families share their towers


@pytest.mark.parametrize("name", CASES)
def test_features_equal_those_of_open_clip(name, tmp_path):
    case = CASES[name]
    pretrained = load(write_model(tmp_path / name, name))
    if size := case.get("opened_at"):
        pretrained = pretrained.at_size(size)
    images = draw_images(2, pretrained.preprocess.size)
    model = pretrained.model
    for kind, tower, inputs in (("image", model.visual, images), ("text", model.text, np.array(case["tokens"]))):
        expected = np.array(case[f"{kind}_features"])
        difference = np.abs(features(tower, inputs) - expected).max()
        assert difference <= RELATIVE * np.abs(expected).max(), kind


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "trained_features" in case])
def test_batch_statistics_in_training_equal_those_of_open_clip(name, tmp_path):
    """Both those of the batch, and the running ones that they update."""
    case = CASES[name]
    pretrained = load(write_model(tmp_path / name, name))
    images = draw_images(2, case.get("opened_at", pretrained.preprocess.size))
    graphdef, state = nnx.split(pretrained.model.visual)

    @partial(jax.jit, compiler_options=QUICK)
    def train(state):
        tower = nnx.merge(graphdef, state, copy=True)
        return tower(images, train=True), nnx.state(tower)

    trained_features, params = train(state)
    for value, key in (
        (trained_features, "trained_features"),
        (features(nnx.merge(graphdef, params), images), "features_after_training"),
    ):
        expected = np.array(case[key])
        assert np.abs(value - expected).max() <= 1e-4 * np.abs(expected).max(), key


# The others' towers are those of one of these, or their names and layouts are in tests/pretrained/test_parity.py.
KINDS = ("resnet", "coca", "eva02", "vitamin", "fastvit", "roberta-mean")


@pytest.mark.parametrize("name", KINDS)
def test_weights_come_back_bit_for_bit(name, tmp_path):
    source = write_model(tmp_path / "published", name)
    pretrained = load(source)
    save(pretrained.model, tmp_path / "ours", pretrained.config, pretrained.preprocess)
    tensors = load_file(source / "open_clip_model.safetensors")
    ours = load_file(tmp_path / "ours" / "open_clip_model.safetensors")
    assert {k for k in tensors if not k.startswith("text_decoder.") and "num_batches" not in k} == set(ours)
    for key, value in ours.items():
        np.testing.assert_array_equal(value, tensors[key], err_msg=key)
        assert value.shape == tensors[key].shape
    saved_model = load(tmp_path / "ours")
    assert_same(saved_model.model, pretrained.model)


def test_a_siglip_keeps_its_scale_and_bias_and_is_named_for_the_size_of_its_images(tmp_path):
    source = write_model(tmp_path / "published", "siglip")
    tensors = load_file(source / "open_clip_model.safetensors")
    pretrained = load(source).at_size(40)
    save(pretrained.model, tmp_path / "ours", pretrained.config, pretrained.preprocess)
    saved_model = load(tmp_path / "ours")
    assert saved_model.config["vision_cfg"] == pretrained.config["vision_cfg"] | {"timm_model_name": "siglip_parity_40"}
    assert (saved_model.config["init_logit_bias"], saved_model.preprocess.size) == (-10, 40)
    for name in ("logit_scale", "logit_bias"):
        assert getattr(saved_model.model, name)[...] == tensors[name]
    model = load(source).at_size(48)
    with pytest.raises(UserError, match="open_clip has siglip_parity_32 for images of 32, 40 pixels, not 48"):
        save(model.model, tmp_path / "other", model.config, model.preprocess)
    assert not (tmp_path / "other").exists()
